package gcpmonitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth"
)

// computeClient reads instances and machine types over the Compute API's JSON. It is made of the same credentials as the
// Monitoring client: Google's own client of this API costs every agent 10 MB of program and 2 MB of memory for two calls.
type computeClient struct {
	project, base string
	web           *http.Client
	creds         *auth.Credentials // nil for none
	gate          *gate
	clock         *clock
}

const (
	computeURL = "https://compute.googleapis.com"
	// maxAnswer bounds a page of 500 instances with all their disks.
	maxAnswer = 64 << 20
	// instancesPerPage is the API's bound.
	instancesPerPage = 500
	// maxInstancePages bounds a project to half a million machines.
	maxInstancePages = 1000
)

// instanceFields are what is read of an instance; the rest is not sent.
const instanceFields = "nextPageToken,unreachables,items/*/warning/code,items/*/instances(id,name,zone,machineType,status,lastStartTimestamp,labels," +
	"disks(deviceName,source,interface,type,diskSizeGb),networkInterfaces(name,network))"

func newComputeClient(cfg Config, project string, creds *auth.Credentials, g *gate, c *clock) *computeClient {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.Dial != nil {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) { return cfg.Dial(ctx, address) }
	}
	transport.MaxIdleConns = 1
	base := cfg.ComputeEndpoint
	if base == "" {
		base = computeURL
	}
	if plain(base) {
		creds = nil
	}
	return &computeClient{project: project, base: base, web: &http.Client{Transport: transport}, creds: creds, gate: g, clock: c}
}

func (c *computeClient) close() { c.web.CloseIdleConnections() }

// instancePage is an answer of aggregated/instances.
type instancePage struct {
	Items map[string]struct {
		Instances []instanceJSON `json:"instances"`
		Warning   struct {
			Code string `json:"code"`
		} `json:"warning"`
	} `json:"items"`
	NextPageToken string   `json:"nextPageToken"`
	Unreachables  []string `json:"unreachables"`
}

type instanceJSON struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Zone              string            `json:"zone"`
	MachineType       string            `json:"machineType"`
	Status            string            `json:"status"`
	Started           string            `json:"lastStartTimestamp"`
	Labels            map[string]string `json:"labels"`
	Disks             []diskJSON        `json:"disks"`
	NetworkInterfaces []struct {
		Name    string `json:"name"`
		Network string `json:"network"`
	} `json:"networkInterfaces"`
}

type diskJSON struct {
	Device    string `json:"deviceName"`
	Source    string `json:"source"`
	Interface string `json:"interface"`
	Type      string `json:"type"`
	SizeGB    string `json:"diskSizeGb"`
}

// instances are those of the project by id. Zones that could not be asked are named.
func (c *computeClient) instances(ctx context.Context) (all map[string]instance, unreachable []string, err error) {
	all = map[string]instance{}
	query := url.Values{"maxResults": {strconv.Itoa(instancesPerPage)}, "returnPartialSuccess": {"true"}, "fields": {instanceFields}}
	for range maxInstancePages {
		page := instancePage{}
		if err := c.get(ctx, "instances.aggregatedList", "aggregated/instances", query, &page); err != nil {
			return nil, nil, err
		}
		for scope, items := range page.Items {
			for _, one := range items.Instances {
				all[one.ID] = one.instance(c.project)
			}
			if items.Warning.Code == "UNREACHABLE" {
				unreachable = append(unreachable, path.Base(scope))
			}
		}
		for _, zone := range page.Unreachables {
			unreachable = append(unreachable, path.Base(zone))
		}
		if page.NextPageToken == "" {
			return all, unreachable, nil
		}
		query.Set("pageToken", page.NextPageToken)
	}
	return nil, nil, fmt.Errorf("instances of project %s: more than %d pages of %d; select regions", c.project, maxInstancePages, instancesPerPage)
}

// machineType reads what a machine of a type has.
func (c *computeClient) machineType(ctx context.Context, zone, name string) (machineType, error) {
	var t struct {
		CPUs     float64 `json:"guestCpus"`
		MemoryMB float64 `json:"memoryMb"`
	}
	err := c.get(ctx, "machineTypes.get", "zones/"+url.PathEscape(zone)+"/machineTypes/"+url.PathEscape(name), url.Values{"fields": {"guestCpus,memoryMb"}}, &t)
	return machineType{cpus: t.CPUs, memory: t.MemoryMB * (1 << 20)}, err
}

// get reads one answer of a method into a value.
func (c *computeClient) get(ctx context.Context, method, resource string, query url.Values, into any) error {
	address := c.base + "/compute/v1/projects/" + url.PathEscape(c.project) + "/" + resource + "?" + query.Encode()
	return c.gate.pass(ctx, "compute", method, func(ctx context.Context) verdict {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return verdict{code: "Internal", err: err}
		}
		if err := c.authorise(ctx, req); err != nil {
			return verdict{code: "Unauthenticated", err: err, hint: c.gate.hintOf("Unauthenticated")}
		}
		resp, err := c.web.Do(req)
		if err != nil {
			return c.unreachable(err)
		}
		defer func() { _ = resp.Body.Close() }() // it was read
		return c.judge(resp, into)
	})
}

func (c *computeClient) authorise(ctx context.Context, req *http.Request) error {
	if c.creds == nil {
		return nil
	}
	token, err := c.creds.Token(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token.Value)
	if quota, err := c.creds.QuotaProjectID(ctx); err == nil && quota != "" {
		req.Header.Set("X-Goog-User-Project", quota)
	}
	return nil
}

// judge reads an answer of HTTP into a value.
func (c *computeClient) judge(resp *http.Response, into any) verdict {
	if server, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.clock.set(server, time.Now())
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.unreachable(err)
	case len(body) > maxAnswer:
		return verdict{code: "ResourceExhausted", err: fmt.Errorf("an answer of more than %d bytes", maxAnswer), hint: "select regions"}
	case resp.StatusCode != http.StatusOK:
		return c.refusal(resp, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return verdict{code: "Internal", err: err}
	}
	return verdict{code: "OK"}
}

func (c *computeClient) unreachable(err error) verdict {
	code := "Unavailable"
	if errors.Is(err, context.DeadlineExceeded) {
		code = "DeadlineExceeded"
	}
	return verdict{code: code, err: err, hint: c.gate.hintOf(code)}
}

// codesOf are the names that gRPC has for statuses of HTTP.
var codesOf = map[int]string{
	http.StatusUnauthorized: "Unauthenticated", http.StatusForbidden: "PermissionDenied", http.StatusNotFound: "NotFound",
	http.StatusTooManyRequests: "ResourceExhausted", http.StatusServiceUnavailable: "Unavailable", http.StatusBadRequest: "InvalidArgument",
}

func (c *computeClient) refusal(resp *http.Response, body []byte) verdict {
	var told struct {
		Error struct {
			Message string `json:"message"`
			Errors  []struct {
				Reason string `json:"reason"`
			} `json:"errors"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &told) // a proxy may answer something else; then the status has to do
	reason := ""
	if len(told.Error.Errors) > 0 {
		reason = told.Error.Errors[0].Reason
	}
	v := verdict{code: codesOf[resp.StatusCode], after: retryAfter(resp.Header.Get("Retry-After"), c.clock.now())}
	if v.code == "" {
		v.code = "Internal"
	}
	v.err = fmt.Errorf("HTTP %d %s: %.300s", resp.StatusCode, reason, told.Error.Message)
	v.hint = c.gate.hintOf(v.code)
	tooFast := strings.Contains(strings.ToLower(reason), "ratelimitexceeded")
	v.throttled = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusForbidden && tooFast ||
		resp.StatusCode == http.StatusServiceUnavailable && v.after > 0
	return v
}

// retryAfter reads the header of that name: seconds or a time.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
