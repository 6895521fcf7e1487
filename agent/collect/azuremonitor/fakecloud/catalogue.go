package fakecloud

import (
	"context"
	"io"
	"net/http"
	"strings"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor/fake"
)

// kind is what a metric is.
type kind struct {
	unit       string
	dimensions []string
}

// MachineType and StorageType are the types of resource that have metrics.
const (
	MachineType = "Microsoft.Compute/virtualMachines"
	StorageType = "Microsoft.Storage/storageAccounts"
)

// catalogue are the metrics of a type of resource, by name in lower case, as Azure's reference lists them.
func catalogue(resourceType string) map[string]kind {
	if strings.EqualFold(resourceType, StorageType) {
		return map[string]kind{
			"transactions": {"Count", []string{"ApiName", "ResponseType"}}, "successe2elatency": {"MilliSeconds", []string{"ApiName"}}, "usedcapacity": {"Bytes", nil},
		}
	}
	all := map[string]kind{
		"percentage cpu": {unit: "Percent"}, "available memory bytes": {unit: "Bytes"}, "available memory percentage": {unit: "Percent"},
		"network in": {unit: "Bytes"}, "network out": {unit: "Bytes"}, "network in total": {unit: "Bytes"}, "network out total": {unit: "Bytes"},
		"disk read bytes": {unit: "Bytes"}, "disk write bytes": {unit: "Bytes"},
		"disk read operations/sec": {unit: "CountPerSecond"}, "disk write operations/sec": {unit: "CountPerSecond"},
		"vmavailabilitymetric": {unit: "Count"}, "cpu credits remaining": {unit: "Count"}, "cpu credits consumed": {unit: "Count"},
		"inbound flows": {unit: "Count"}, "outbound flows": {unit: "Count"},
	}
	lun := []string{"LUN"}
	for disk, dimensions := range map[string][]string{"os disk ": nil, "temp disk ": nil, "data disk ": lun} {
		for name, unit := range map[string]string{
			"read bytes/sec": "BytesPerSecond", "write bytes/sec": "BytesPerSecond", "read operations/sec": "CountPerSecond",
			"write operations/sec": "CountPerSecond", "latency": "Milliseconds", "queue depth": "Count",
		} {
			all[disk+name] = kind{unit, dimensions}
		}
	}
	for _, disk := range []string{"os disk ", "data disk "} {
		for _, name := range []string{"iops consumed percentage", "bandwidth consumed percentage", "used burst io credits percentage", "used burst bps credits percentage"} {
			all[disk+name] = kind{"Percent", lun}
		}
	}
	for _, name := range []string{
		"vm cached iops consumed", "vm cached bandwidth consumed", "vm uncached iops consumed", "vm uncached bandwidth consumed",
		"vm local used burst io credits", "vm local used burst bps credits", "vm remote used burst io credits", "vm remote used burst bps credits",
	} {
		all[name+" percentage"] = kind{unit: "Percent"}
	}
	return all
}

// definitionServer lists the catalogue by the SDK's own fake.
func (c *Cloud) definitionServer() *fake.MetricDefinitionsServerTransport {
	return fake.NewMetricDefinitionsServerTransport(&fake.MetricDefinitionsServer{
		NewListPager: func(resourceURI string, options *armmonitor.MetricDefinitionsClientListOptions) (resp azfake.PagerResponder[armmonitor.MetricDefinitionsClientListResponse]) {
			page := armmonitor.MetricDefinitionsClientListResponse{}
			for name, one := range catalogue(*options.Metricnamespace) {
				page.Value = append(page.Value, definitionOf(resourceURI, name, one))
			}
			resp.AddPage(http.StatusOK, page, nil)
			return resp
		},
	})
}

func definitionOf(resource, name string, one kind) *armmonitor.MetricDefinition {
	d := &armmonitor.MetricDefinition{
		ResourceID: &resource, Name: &armmonitor.LocalizableString{Value: &name}, Unit: to.Ptr(armmonitor.MetricUnit(one.unit)),
		PrimaryAggregationType: to.Ptr(armmonitor.AggregationTypeAverage),
		MetricAvailabilities:   []*armmonitor.MetricAvailability{{TimeGrain: to.Ptr("PT1M"), Retention: to.Ptr("P93D")}, {TimeGrain: to.Ptr("PT1H"), Retention: to.Ptr("P93D")}},
	}
	for _, dimension := range one.dimensions {
		d.Dimensions = append(d.Dimensions, &armmonitor.LocalizableString{Value: &dimension})
	}
	return d
}

// listDefinitions hands a call to the SDK's fake, which is told apart by its context.
func (c *Cloud) listDefinitions(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithValue(r.Context(), runtime.CtxAPINameKey{}, "MetricDefinitionsClient.NewListPager")
	c.mu.Lock() // the SDK's fake is for one at a time
	defer c.mu.Unlock()
	resp, err := c.definitions.Do(r.WithContext(ctx))
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // the client that hung up does not read it
}
