package fakecloud

import (
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const pageEC2 = 1000

// The answers of EC2 as its XML has them.
type (
	instancesAnswer struct {
		XMLName      xml.Name      `xml:"DescribeInstancesResponse"`
		RequestID    string        `xml:"requestId"`
		Reservations []reservation `xml:"reservationSet>item"`
		NextToken    string        `xml:"nextToken,omitempty"`
	}
	reservation struct {
		ID        string     `xml:"reservationId"`
		Instances []instance `xml:"instancesSet>item"`
	}
	instance struct {
		ID         string `xml:"instanceId"`
		Image      string `xml:"imageId"`
		Type       string `xml:"instanceType"`
		State      string `xml:"instanceState>name"`
		Launched   string `xml:"launchTime"`
		Zone       string `xml:"placement>availabilityZone"`
		Monitoring string `xml:"monitoring>state"`
		Arch       string `xml:"architecture"`
		Hypervisor string `xml:"hypervisor"`
		Platform   string `xml:"platformDetails"`
		Cores      int    `xml:"cpuOptions>coreCount"`
		Threads    int    `xml:"cpuOptions>threadsPerCore"`
		Cards      []eni  `xml:"networkInterfaceSet>item"`
		Tags       []tag  `xml:"tagSet>item"`
	}
	eni struct {
		ID     string `xml:"networkInterfaceId"`
		MAC    string `xml:"macAddress"`
		Subnet string `xml:"subnetId"`
	}
	tag struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	}
	volumesAnswer struct {
		XMLName   xml.Name     `xml:"DescribeVolumesResponse"`
		RequestID string       `xml:"requestId"`
		Volumes   []volumeItem `xml:"volumeSet>item"`
		NextToken string       `xml:"nextToken,omitempty"`
	}
	volumeItem struct {
		ID          string       `xml:"volumeId"`
		GiB         int          `xml:"size"`
		Type        string       `xml:"volumeType"`
		Attachments []attachment `xml:"attachmentSet>item"`
	}
	attachment struct {
		Machine string `xml:"instanceId"`
		Device  string `xml:"device"`
	}
	typesAnswer struct {
		XMLName   xml.Name   `xml:"DescribeInstanceTypesResponse"`
		RequestID string     `xml:"requestId"`
		Types     []typeItem `xml:"instanceTypeSet>item"`
	}
	typeItem struct {
		Name       string `xml:"instanceType"`
		MiB        int    `xml:"memoryInfo>sizeInMiB"`
		Hypervisor string `xml:"hypervisor"`
		Store      bool   `xml:"instanceStorageSupported"`
	}
)

// Models are the instance types that exist, with their memory in MiB.
var Models = map[string]int{"m5.large": 8192, "t3.micro": 1024, "m5d.large": 8192, "m3.medium": 3840}

func (c *Cloud) describeInstances(req *request, _ Fault) (any, *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	var all []reservation
	for _, id := range slices.Sorted(maps.Keys(c.machines)) {
		m := c.machines[id]
		if state := m.at(now); m.Region == req.region && state != "" && selected(m, req.in) {
			all = append(all, reservation{"r-" + id, []instance{instanceOf(m, state, now)}})
		}
	}
	page, next := paged(all, number(req.in.text("NextToken")), c.PageMachines, pageEC2)
	return instancesAnswer{RequestID: "1", Reservations: page, NextToken: token(next)}, nil
}

// selected honours the filters by tag.
func selected(m Machine, in tree) bool {
	for _, filter := range in.trees("Filter") {
		key, byTag := strings.CutPrefix(filter.text("Name"), "tag:")
		if byTag && !slices.Contains(filter.list("Value"), any(m.Tags[key])) {
			return false
		}
	}
	return true
}

func token(next int) string {
	if next == 0 {
		return ""
	}
	return strconv.Itoa(next)
}

func instanceOf(m Machine, state string, now time.Time) instance {
	i := instance{
		ID: m.ID, Image: "ami-1", Type: m.Type, State: state, Launched: m.Launched.UTC().Format(time.RFC3339), Zone: m.Zone, Monitoring: "disabled",
		Arch: "x86_64", Hypervisor: "xen", Platform: "Linux/UNIX", Cores: 1, Threads: 2,
	}
	if m.Detailed {
		i.Monitoring = "enabled"
	}
	if m.faded(now) {
		return i
	}
	i.Cards = []eni{{"eni-" + m.ID, "02:00:00:00:00:01", "subnet-1"}}
	if m.Name != "" {
		i.Tags = append(i.Tags, tag{"Name", m.Name})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tags)) {
		i.Tags = append(i.Tags, tag{name, m.Tags[name]})
	}
	return i
}

func (c *Cloud) describeVolumes(req *request, _ Fault) (any, *failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []volumeItem
	for _, id := range slices.Sorted(maps.Keys(c.volumes)) {
		if v := c.volumes[id]; v.Region == req.region && v.at(c.now()) {
			all = append(all, volumeItem{v.ID, v.GiB, v.Type, []attachment{{v.Machine, v.Device}}})
		}
	}
	page, next := paged(all, number(req.in.text("NextToken")), c.PageVolumes, pageEC2)
	return volumesAnswer{RequestID: "1", Volumes: page, NextToken: token(next)}, nil
}

func (c *Cloud) describeInstanceTypes(req *request, _ Fault) (any, *failure) {
	out := typesAnswer{RequestID: "1"}
	for _, one := range req.in.list("InstanceType") {
		name, _ := one.(string)
		if mib, known := Models[name]; known {
			item := typeItem{Name: name, MiB: mib, Hypervisor: "nitro", Store: strings.Contains(name, "d.")}
			if strings.HasPrefix(name, "m3.") {
				item.Hypervisor = "xen"
			}
			out.Types = append(out.Types, item)
		}
	}
	return out, nil
}
