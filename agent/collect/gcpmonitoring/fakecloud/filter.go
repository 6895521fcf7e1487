package fakecloud

import (
	"fmt"
	"regexp"
	"strings"
)

// wanted is a filter of ListTimeSeries.
type wanted struct {
	metric, resource, project string
	zones                     []string
}

var (
	equals = regexp.MustCompile(`^(metric\.type|resource\.type|resource\.labels\.project_id) = "([^"]*)"$`)
	zones  = regexp.MustCompile(`^resource\.labels\.zone = starts_with\("([^"]*)"\)$`)
)

// parse understands what the collector may say and is as strict as the API: exactly one metric type.
func parse(filter string) (w wanted, err error) {
	for _, part := range strings.Split(filter, " AND ") {
		if inner, ok := strings.CutPrefix(part, "("); ok {
			for _, zone := range strings.Split(strings.TrimSuffix(inner, ")"), " OR ") {
				m := zones.FindStringSubmatch(zone)
				if m == nil {
					return w, fmt.Errorf("the provided filter has an unknown condition %q", zone)
				}
				w.zones = append(w.zones, m[1])
			}
			continue
		}
		m := equals.FindStringSubmatch(part)
		if m == nil {
			return w, fmt.Errorf("the provided filter has an unknown condition %q", part)
		}
		field := map[string]*string{"metric.type": &w.metric, "resource.type": &w.resource, "resource.labels.project_id": &w.project}[m[1]]
		if *field != "" {
			return w, fmt.Errorf("the provided filter names %s twice", m[1])
		}
		*field = m[2]
	}
	if w.metric == "" {
		return w, fmt.Errorf("the provided filter must specify a single metric type: %q", filter)
	}
	return w, nil
}

// takes tells whether a resource is meant.
func (w wanted) takes(resource, zone string) bool {
	inZone := len(w.zones) == 0
	for _, z := range w.zones {
		inZone = inZone || strings.HasPrefix(zone, z)
	}
	return inZone && (w.resource == "" || w.resource == resource)
}
