package state

import (
	"cmp"
	"iter"
	"strings"

	"github.com/google/btree"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// tables are every record of the cluster and the indexes that commands keep in step.
type tables struct {
	revision  uint64
	clusterID string

	members   table[*novacronv1.Member]           // by id
	tokens    table[*statev1.TokenRecord]         // by id
	images    table[*novacronv1.Image]            // by name
	hosts     table[*statev1.HostRecord]          // by id
	vms       table[*novacronv1.VM]               // by id
	revoked   table[*statev1.RevokedNode]         // by node id
	requests  table[*statev1.RequestRecord]       // by request id
	templates table[*statev1.TemplateRecord]      // by name
	events    table[*novacronv1.Event]            // by revision and index
	networks  table[*novacronv1.Network]          // by name
	groups    table[*novacronv1.SecurityGroup]    // by name
	volumes   table[*novacronv1.Volume]           // by id
	sources   table[*statev1.MetricSourceRecord]  // by name
	metrics   table[*novacronv1.MetricDefinition] // by name
	forwards  table[*statev1.MetricForwardRecord] // by name
	limits    table[*statev1.MetricLimitsRecord]  // one, at limitsKey
	// eventsFloor is the highest revision whose events are not all kept.
	eventsFloor uint64

	// Indexes, rebuilt on restore.
	vmByName     table[string] // project + "\x00" + name -> id
	vmByHost     table[string] // host id + "\x00" + vm id -> vm id
	unplaced     table[string] // vm id -> vm id
	vmByMAC      table[string] // MAC -> vm id
	vmByAddress  table[string] // network + "\x00" + address in hex -> vm id
	volumeByName table[string] // project + "\x00" + name -> id
	volumeByHost table[string] // host id + "\x00" + volume id -> volume id
	requestByAge table[string] // time + request id -> request id
}

func newTables() tables {
	return tables{
		members: newTable[*novacronv1.Member](), tokens: newTable[*statev1.TokenRecord](),
		images: newTable[*novacronv1.Image](), hosts: newTable[*statev1.HostRecord](),
		vms: newTable[*novacronv1.VM](), volumes: newTable[*novacronv1.Volume](), revoked: newTable[*statev1.RevokedNode](),
		requests: newTable[*statev1.RequestRecord](), events: newTable[*novacronv1.Event](),
		templates: newTable[*statev1.TemplateRecord](),
		vmByName:  newTable[string](), vmByHost: newTable[string](), unplaced: newTable[string](), vmByMAC: newTable[string](),
		requestByAge: newTable[string](),
		networks:     newTable[*novacronv1.Network](), groups: newTable[*novacronv1.SecurityGroup](), vmByAddress: newTable[string](),
		volumeByName: newTable[string](), volumeByHost: newTable[string](),
		sources: newTable[*statev1.MetricSourceRecord](), metrics: newTable[*novacronv1.MetricDefinition](),
		forwards: newTable[*statev1.MetricForwardRecord](), limits: newTable[*statev1.MetricLimitsRecord](),
	}
}

func (t *tables) clone() tables {
	return tables{
		revision: t.revision, clusterID: t.clusterID,
		members: t.members.clone(), tokens: t.tokens.clone(), images: t.images.clone(), hosts: t.hosts.clone(),
		vms: t.vms.clone(), volumes: t.volumes.clone(), revoked: t.revoked.clone(), requests: t.requests.clone(),
		templates: t.templates.clone(), events: t.events.clone(), eventsFloor: t.eventsFloor,
		vmByName: t.vmByName.clone(), vmByHost: t.vmByHost.clone(), unplaced: t.unplaced.clone(), vmByMAC: t.vmByMAC.clone(),
		requestByAge: t.requestByAge.clone(),
		networks:     t.networks.clone(), groups: t.groups.clone(), vmByAddress: t.vmByAddress.clone(),
		volumeByName: t.volumeByName.clone(), volumeByHost: t.volumeByHost.clone(),
		sources: t.sources.clone(), metrics: t.metrics.clone(), forwards: t.forwards.clone(), limits: t.limits.clone(),
	}
}

// table is an ordered map whose clone is cheap and independent.
type table[V any] struct{ tree *btree.BTreeG[row[V]] }

type row[V any] struct {
	key   string
	value V
}

const degree = 32

func newTable[V any]() table[V] {
	return table[V]{tree: btree.NewG(degree, func(a, b row[V]) bool { return cmp.Less(a.key, b.key) })}
}

func (t table[V]) clone() table[V] { return table[V]{tree: t.tree.Clone()} }
func (t table[V]) len() int        { return t.tree.Len() }
func (t table[V]) put(key string, value V) {
	t.tree.ReplaceOrInsert(row[V]{key: key, value: value})
}
func (t table[V]) delete(key string) { t.tree.Delete(row[V]{key: key}) }

func (t table[V]) get(key string) (V, bool) {
	r, ok := t.tree.Get(row[V]{key: key})
	return r.value, ok
}

// after yields the rows with keys above start, in order.
func (t table[V]) after(start string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		t.tree.AscendGreaterOrEqual(row[V]{key: start}, func(r row[V]) bool {
			return r.key == start && start != "" || yield(r.key, r.value)
		})
	}
}

// prefixed yields the rows whose keys begin with prefix, in order.
func (t table[V]) prefixed(prefix string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		t.tree.AscendGreaterOrEqual(row[V]{key: prefix}, func(r row[V]) bool {
			return strings.HasPrefix(r.key, prefix) && yield(r.key, r.value)
		})
	}
}

func nameKey(project, name string) string { return project + "\x00" + name }
func hostKey(hostID, vmID string) string  { return hostID + "\x00" + vmID }
