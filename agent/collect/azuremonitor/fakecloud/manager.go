package fakecloud

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// paged answers with a page of a list and where the next one is.
func (c *Cloud) paged(w http.ResponseWriter, r *http.Request, all []any) {
	query := r.URL.Query()
	if query.Get("api-version") == "" {
		refuse(w, http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter is required.")
		return
	}
	from, _ := strconv.Atoi(query.Get("$skiptoken"))
	from = min(from, len(all))
	to := len(all)
	if c.PageSize > 0 {
		to = min(from+c.PageSize, to)
	}
	answer := map[string]any{"value": all[from:to]}
	if to < len(all) {
		query.Set("$skiptoken", strconv.Itoa(to))
		next := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: query.Encode()}
		answer["nextLink"] = next.String()
	}
	reply(w, answer)
}

// in are the resources of a type in the subscription that a call is made to.
func (c *Cloud) in(r *http.Request, resourceType string) (some []Machine) {
	subscription := strings.Split(r.URL.Path, "/")[2]
	for _, m := range c.list(resourceType, c.Now()) {
		if strings.HasPrefix(strings.ToLower(m.ID), "/subscriptions/"+strings.ToLower(subscription)+"/") {
			some = append(some, m)
		}
	}
	return some
}

func nameOf(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

func (c *Cloud) listMachines(w http.ResponseWriter, r *http.Request) {
	all := []any{}
	for _, m := range c.in(r, "") {
		disks := []any{}
		for _, lun := range m.LUNs {
			disks = append(disks, map[string]any{
				"lun": lun, "name": "data" + strconv.Itoa(lun), "createOption": "Attach", "caching": "ReadOnly", "diskSizeGB": 128,
				"managedDisk": map[string]any{"id": m.ID + "-DATA" + strconv.Itoa(lun), "storageAccountType": "StandardSSD_LRS"},
			})
		}
		one := map[string]any{
			"name": nameOf(m.ID), "id": m.ID, "type": MachineType, "location": m.Location, "tags": m.Tags, "etag": `"1"`,
			"properties": map[string]any{
				"vmId": m.VMID, "timeCreated": m.Created.Format(time.RFC3339Nano), "provisioningState": "Succeeded",
				"hardwareProfile": map[string]any{"vmSize": m.Size},
				"storageProfile": map[string]any{
					"imageReference": map[string]any{"publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest", "exactVersion": "0.20260101.1"},
					"osDisk": map[string]any{
						"osType": "Linux", "name": "os", "createOption": "FromImage", "diskSizeGB": 30,
						"managedDisk": map[string]any{"id": m.ID + "-OS", "storageAccountType": "Premium_LRS"},
					},
					"dataDisks": disks,
				},
				"networkProfile": map[string]any{"networkInterfaces": []any{map[string]any{"id": strings.Replace(m.ID, "Compute/virtualMachines", "Network/networkInterfaces", 1) + "-NIC"}}},
			},
		}
		if m.Zone != "" {
			one["zones"] = []string{m.Zone}
		}
		all = append(all, one)
	}
	c.paged(w, r, all)
}

func (c *Cloud) listStates(w http.ResponseWriter, r *http.Request) {
	all := []any{}
	for _, m := range c.in(r, "") {
		statuses := []any{map[string]any{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded", "time": m.Created.Format(time.RFC3339Nano)}}
		if m.Power != "" {
			status := map[string]any{"code": "PowerState/" + m.Power, "level": "Info", "displayStatus": "VM " + m.Power}
			if !m.PowerAt.IsZero() {
				status["time"] = m.PowerAt.Format(time.RFC3339Nano)
			}
			statuses = append(statuses, status)
		}
		all = append(all, map[string]any{
			"name": nameOf(m.ID), "id": strings.ToUpper(m.ID), "type": MachineType, "location": m.Location,
			"properties": map[string]any{"vmId": m.VMID, "provisioningState": "Succeeded", "instanceView": map[string]any{"statuses": statuses}},
		})
	}
	c.paged(w, r, all)
}

func (c *Cloud) listSizes(w http.ResponseWriter, r *http.Request) {
	location, quoted := strings.CutPrefix(r.URL.Query().Get("$filter"), "location eq '")
	if !quoted {
		refuse(w, http.StatusBadRequest, "InvalidFilter", "this list takes a location")
		return
	}
	location = strings.TrimSuffix(location, "'")
	capabilities := func(pairs ...string) (all []any) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, map[string]any{"name": pairs[i], "value": pairs[i+1]})
		}
		return all
	}
	c.paged(w, r, []any{
		map[string]any{"resourceType": "disks", "name": "Premium_LRS", "locations": []string{location}, "capabilities": capabilities("MaxSizeGiB", "4")},
		map[string]any{"resourceType": "virtualMachines", "name": "Standard_A0", "tier": "Standard", "size": "A0", "locations": []string{location},
			"capabilities": capabilities("vCPUs", "1", "MemoryGB", "0.75", "MaxResourceVolumeMB", "20480")},
		map[string]any{"resourceType": "virtualMachines", "name": "Standard_D4s_v5", "tier": "Standard", "size": "D4s_v5", "locations": []string{location},
			"capabilities": capabilities("vCPUs", "4", "MemoryGB", "16", "MaxResourceVolumeMB", "0", "vCPUsAvailable", "4", "CpuArchitectureType", "x64")},
		map[string]any{"resourceType": "virtualMachines", "name": "Standard_E8-4ds_v5", "tier": "Standard", "size": "E8-4ds_v5", "locations": []string{location},
			"capabilities": capabilities("vCPUs", "8", "MemoryGB", "64", "MaxResourceVolumeMB", "307200", "vCPUsAvailable", "4", "CpuArchitectureType", "x64")},
	})
}

func (c *Cloud) listResources(w http.ResponseWriter, r *http.Request) {
	resourceType, quoted := strings.CutPrefix(r.URL.Query().Get("$filter"), "resourceType eq '")
	if !quoted {
		refuse(w, http.StatusBadRequest, "InvalidFilter", "this list takes a type of resource")
		return
	}
	all := []any{}
	for _, m := range c.in(r, strings.TrimSuffix(resourceType, "'")) {
		all = append(all, map[string]any{"id": m.ID, "name": nameOf(m.ID), "type": m.Type, "location": m.Location, "sku": map[string]any{"name": "Standard_LRS"}})
	}
	c.paged(w, r, all)
}
