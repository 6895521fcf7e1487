package fakecloud

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// statuses are the HTTP statuses of faults.
var statuses = map[codes.Code]int{
	codes.ResourceExhausted: http.StatusTooManyRequests, codes.Unavailable: http.StatusServiceUnavailable,
	codes.Unauthenticated: http.StatusUnauthorized, codes.PermissionDenied: http.StatusForbidden,
	codes.Internal: http.StatusInternalServerError, codes.NotFound: http.StatusNotFound,
}

type object = map[string]any

func (c *Cloud) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /compute/v1/projects/{project}/aggregated/instances", func(w http.ResponseWriter, r *http.Request) {
		c.serve(w, r, "instances", c.listInstances)
	})
	mux.HandleFunc("GET /compute/v1/projects/{project}/zones/{zone}/machineTypes/{type}", func(w http.ResponseWriter, r *http.Request) {
		c.serve(w, r, "machineTypes", c.machineType)
	})
	return mux
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request, method string, answer func(*http.Request, Fault) (int, object)) {
	c.Lock()
	defer c.Unlock()
	w.Header().Set("Date", c.now().UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	fault := c.called(method)
	var code int
	var body object
	switch {
	case c.Token != "" && r.Header.Get("Authorization") != c.Token:
		code, body = refusal(http.StatusUnauthorized, "authError", "Request had invalid authentication credentials.")
	case fault.Code != codes.OK:
		if fault.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(fault.RetryAfter.Seconds())))
		}
		reason := fault.Reason
		if reason == "" {
			reason = "backendError"
		}
		code, body = refusal(statuses[fault.Code], reason, fault.message())
	case r.PathValue("project") != c.Project:
		code, body = refusal(http.StatusNotFound, "notFound", "The resource 'projects/"+r.PathValue("project")+"' was not found")
	default:
		code, body = answer(r, fault)
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone when this fails
}

func refusal(code int, reason, message string) (int, object) {
	return code, object{"error": object{"code": code, "message": message, "errors": []object{{"reason": reason, "message": message}}}}
}

func (c *Cloud) listInstances(r *http.Request, fault Fault) (int, object) {
	there := slices.DeleteFunc(slices.Clone(c.Instances), func(i Instance) bool { return i.Hidden })
	from, _ := strconv.Atoi(r.URL.Query().Get("pageToken")) // no token is the beginning
	size, err := strconv.Atoi(r.URL.Query().Get("maxResults"))
	if err != nil || size < 1 || size > 500 {
		return refusal(http.StatusBadRequest, "invalid", "Invalid value for field 'maxResults'")
	}
	end := min(len(there), from+size)
	items := object{"zones/empty-1-a": object{"warning": object{"code": "NO_RESULTS_ON_PAGE"}}}
	for _, i := range there[from:end] {
		scope, _ := items["zones/"+i.Zone].(object)
		if scope == nil {
			scope = object{"instances": []object{}}
			items["zones/"+i.Zone] = scope
		}
		scope["instances"] = append(scope["instances"].([]object), c.instance(i))
	}
	out := object{"kind": "compute#instanceAggregatedList", "items": items}
	if fault.Unable != "" {
		out["unreachables"] = []string{fault.Unable}
	}
	if end < len(there) {
		out["nextPageToken"] = strconv.Itoa(end)
	}
	return http.StatusOK, out
}

func (c *Cloud) instance(i Instance) object {
	base := "https://www.googleapis.com/compute/v1/projects/" + c.Project + "/"
	disks := []object{}
	for n, d := range i.Disks {
		disks = append(disks, object{
			"index": n, "deviceName": d.Device, "source": base + "zones/" + i.Zone + "/disks/" + d.Source, "interface": d.Interface,
			"type": "PERSISTENT", "mode": "READ_WRITE", "diskSizeGb": strconv.FormatInt(d.GiB, 10),
		})
	}
	return object{
		"id": i.ID, "name": i.Name, "zone": base + "zones/" + i.Zone, "machineType": base + "zones/" + i.Zone + "/machineTypes/" + i.MachineType,
		"status": i.Status, "lastStartTimestamp": i.Start.Format(time.RFC3339Nano), "labels": i.Labels, "disks": disks,
		"networkInterfaces": []object{{"name": "nic0", "network": base + "global/networks/default", "networkIP": "10.0.0.2"}},
	}
}

func (c *Cloud) machineType(r *http.Request, _ Fault) (int, object) {
	name := r.PathValue("type")
	t, known := c.MachineTypes[name]
	if !known {
		return refusal(http.StatusNotFound, "notFound", "The resource '"+strings.TrimPrefix(r.URL.Path, "/compute/v1/")+"' was not found")
	}
	return http.StatusOK, object{"name": name, "guestCpus": t.CPUs, "memoryMb": t.MemoryMB}
}
