package cloudwatch

import (
	"slices"
	"time"

	"github.com/novacron/novacron/agent/collect"
	"github.com/novacron/novacron/agent/collect/cloud"
)

// mapped are the native metrics that have canonical names, by namespace and name.
var mapped = func() map[string]bool {
	all := map[string]bool{}
	for _, r := range slices.Concat(machineTable, volumeTable, agentTable) {
		for _, n := range r.natives {
			all[r.namespace+"\x00"+n.name] = true
		}
	}
	return all
}()

// raws plans the metrics of the namespaces that were asked for, as they are.
func (p *planner) raws(listed []cloud.Item[listedMetric], units *unitBook) {
	for _, item := range listed {
		m := item.Resource
		name := collect.AWSName(m.namespace, m.name, p.cfg.Statistic)
		unit, known := units.of(m)
		conversion, has := collect.FromCloudWatch(unit)
		if !isRaw(p.cfg, m) || !known || !has || !p.wants(name) {
			continue
		}
		r := row{name: name, source: collect.CloudWatch, namespace: m.namespace, class: classRaw, combine: first,
			natives: []native{{m.name, p.cfg.Statistic, unit}}, kind: collect.NativeGauge}
		labels := map[string]string{"cloud_provider": "aws", "cloud_account_id": p.account, "cloud_region": p.region}
		for _, d := range m.dims {
			labels[collect.DimensionLabel(d.name)] = d.value
		}
		p.add(r, labels, classRaw, item.Alive(), time.Time{}, []listedMetric{m})
		w := &p.plan.wants[len(p.plan.wants)-1]
		w.metricType, w.unit, w.native = collect.TypeGauge, conversion.Unit, m.namespace+"/"+m.name
	}
}

func isRaw(cfg Config, m listedMetric) bool {
	return slices.Contains(cfg.Namespaces, m.namespace) && !mapped[m.namespace+"\x00"+m.name]
}
