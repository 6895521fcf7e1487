package azuremonitor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v8"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/monitor/armmonitor"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// maxPages bounds how many pages of a list are followed.
const maxPages = 2000

// account is one subscription: what is in it, and how to ask.
type account struct {
	id      string
	regions []string
	// groups are resource groups, in lower case; empty means all.
	groups []string

	machines *cloud.Inventory[machine]
	roll     *roll
	// powered are the states as they were last read.
	powered map[string]power
	// others are the resources of other types.
	others map[string]*cloud.Inventory[resource]
	sizes  cache[map[string]size]
	// defined are the metrics that a region has of a type.
	defined cache[map[string]definition]

	vms         *armcompute.VirtualMachinesClient
	skus        *armcompute.ResourceSKUsClient
	definitions *armmonitor.MetricDefinitionsClient
	manager     *arm.Client
}

func newAccount(d dialer, id string) (a *account, err error) {
	a = &account{
		id: id, regions: d.cfg.Regions, groups: d.cfg.ResourceGroups, roll: &roll{store: d.cfg.Stores("machines-" + id)}, others: map[string]*cloud.Inventory[resource]{},
		sizes:   cache[map[string]size]{fresh: 24 * time.Hour, retry: 15 * time.Minute},
		defined: cache[map[string]definition]{fresh: 24 * time.Hour, retry: 15 * time.Minute},
	}
	if a.vms, err = armcompute.NewVirtualMachinesClient(id, d.token, d.manager(id, apiMachines)); err != nil {
		return nil, err
	}
	if a.skus, err = armcompute.NewResourceSKUsClient(id, d.token, d.manager(id, apiSizes)); err != nil {
		return nil, err
	}
	if a.definitions, err = armmonitor.NewMetricDefinitionsClient(id, d.token, d.manager(id, apiDefinitions)); err != nil {
		return nil, err
	}
	if a.manager, err = arm.NewClient("novacron", "v1.0.0", d.token, d.manager(id, apiResources)); err != nil {
		return nil, err
	}
	// What has vanished stays for as long as its last periods can be asked for, as nothing bounds how long the service
	// or the shard may fail meanwhile.
	linger := d.cfg.Back
	a.machines = &cloud.Inventory[machine]{List: a.listMachines, Fresh: d.cfg.InventoryEvery, Linger: linger}
	for _, raw := range d.cfg.Raw {
		if !strings.EqualFold(raw.ResourceType, machineType) {
			list := func(ctx context.Context) (map[string]resource, error) { return a.listResources(ctx, raw.ResourceType) }
			a.others[strings.ToLower(raw.ResourceType)] = &cloud.Inventory[resource]{List: list, Fresh: d.cfg.InventoryEvery, Linger: linger}
		}
	}
	return a, nil
}

func (a *account) wants(id, region string) bool {
	return (len(a.regions) == 0 || slices.Contains(a.regions, region)) && (len(a.groups) == 0 || slices.Contains(a.groups, groupOf(id)))
}

// pages follows the pages of a list.
func pages[T any](ctx context.Context, pager *runtime.Pager[T], each func(T)) error {
	for n := 0; pager.More(); n++ {
		if n == maxPages {
			return fmt.Errorf("the list has more than %d pages; collect fewer subscriptions with one collector", maxPages)
		}
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		each(page)
	}
	return nil
}

func (a *account) listMachines(ctx context.Context) (map[string]machine, error) {
	there := map[string]machine{}
	err := pages(ctx, a.vms.NewListAllPager(nil), func(page armcompute.VirtualMachinesClientListAllResponse) {
		for _, vm := range page.Value {
			if m := machineOf(vm); m.id != "" && a.wants(m.id, m.region) {
				there[m.id] = m
			}
		}
	})
	return there, err
}

// powers reads the states of all machines, by resource id.
func (a *account) powers(ctx context.Context) (map[string]power, error) {
	states := map[string]power{}
	pager := a.vms.NewListAllPager(&armcompute.VirtualMachinesClientListAllOptions{StatusOnly: to.Ptr("true")})
	err := pages(ctx, pager, func(page armcompute.VirtualMachinesClientListAllResponse) {
		for _, vm := range page.Value {
			states[collect.AzureID(deref(vm.ID))] = powerOf(vm)
		}
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// sizesOf are the sizes of a region's machines, by name in lower case.
func (a *account) sizesOf(ctx context.Context, region string, now time.Time) (map[string]size, error) {
	sizes, _, err := a.sizes.get(ctx, region, now, func(ctx context.Context) (map[string]size, error) {
		there := map[string]size{}
		pager := a.skus.NewListPager(&armcompute.ResourceSKUsClientListOptions{Filter: to.Ptr("location eq '" + region + "'")})
		err := pages(ctx, pager, func(page armcompute.ResourceSKUsClientListResponse) {
			for _, sku := range page.Value {
				if name, s, ok := sizeOf(sku); ok {
					there[name] = s
				}
			}
		})
		return there, err
	})
	return sizes, err
}

// resourcesVersion is that of the API that lists resources of any type.
const resourcesVersion = "2021-04-01"

// resourcePage is a page of that list.
type resourcePage struct {
	Value []struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Location string `json:"location"`
	} `json:"value"`
	NextLink string `json:"nextLink"`
}

// listResources lists those of one type. There is a library for it, of which this is all that is needed.
func (a *account) listResources(ctx context.Context, resourceType string) (map[string]resource, error) {
	there := map[string]resource{}
	pager := runtime.NewPager(runtime.PagingHandler[resourcePage]{
		More: func(page resourcePage) bool { return page.NextLink != "" },
		Fetcher: func(ctx context.Context, last *resourcePage) (resourcePage, error) {
			return a.resourcePage(ctx, resourceType, last)
		},
	})
	err := pages(ctx, pager, func(page resourcePage) {
		for _, one := range page.Value {
			id, region := collect.AzureID(one.ID), regionName(one.Location)
			if a.wants(id, region) {
				there[id] = resource{id: id, subscription: a.id, region: region, labels: rawLabels(a.id, region, id, one.Name)}
			}
		}
	})
	return there, err
}

func (a *account) resourcePage(ctx context.Context, resourceType string, last *resourcePage) (page resourcePage, err error) {
	req, err := runtime.NewRequest(ctx, http.MethodGet, runtime.JoinPaths(a.manager.Endpoint(), "subscriptions", a.id, "resources"))
	if err == nil && last != nil {
		req, err = runtime.NewRequestForNextLink(ctx, http.MethodGet, a.manager.Endpoint(), last.NextLink)
	}
	if err != nil {
		return page, err
	}
	if last == nil {
		query := req.Raw().URL.Query()
		query.Set("api-version", resourcesVersion)
		query.Set("$filter", "resourceType eq '"+resourceType+"'")
		req.Raw().URL.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	}
	req.Raw().Header.Set("Accept", "application/json")
	resp, err := a.manager.Pipeline().Do(req)
	if err != nil {
		return page, err
	}
	defer resp.Body.Close()
	if !runtime.HasStatusCode(resp, http.StatusOK) {
		return page, runtime.NewResponseError(resp)
	}
	return page, runtime.UnmarshalAsJSON(resp, &page)
}
