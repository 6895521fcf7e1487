//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"

	lv "libvirt.org/go/libvirt"

	"github.com/novacron/novacron/agent/hypervisor"
)

// countedStats are the groups of values that are asked for. Those that vary with the kernel are not.
const countedStats = lv.DOMAIN_STATS_STATE | lv.DOMAIN_STATS_CPU_TOTAL | lv.DOMAIN_STATS_BALLOON | lv.DOMAIN_STATS_VCPU |
	lv.DOMAIN_STATS_INTERFACE | lv.DOMAIN_STATS_BLOCK | lv.DOMAIN_STATS_DIRTYRATE

// DomainStats asks for all domains in one call. NOWAIT: a domain that is busy with something else keeps nobody waiting.
func (d *Driver) DomainStats(ctx context.Context, ids ...string) ([]hypervisor.DomainStats, error) {
	return call(ctx, d, func(conn *lv.Connect) ([]hypervisor.DomainStats, error) {
		domains, err := lookUp(conn, ids)
		defer free(domains)
		if err != nil || len(ids) > 0 && len(domains) == 0 {
			return nil, err
		}
		records, err := conn.GetAllDomainStats(domains, countedStats, lv.CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
		if err != nil {
			return nil, err
		}
		all := make([]hypervisor.DomainStats, 0, len(records))
		for i := range records {
			defer records[i].Domain.Free()
			one, err := statsOf(&records[i])
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		return all, nil
	})
}

// lookUp leaves out what is gone.
func lookUp(conn *lv.Connect, ids []string) (domains []*lv.Domain, err error) {
	for _, id := range ids {
		dom, err := conn.LookupDomainByUUIDString(id)
		if errors.Is(err, lv.ERR_NO_DOMAIN) {
			continue
		}
		if err != nil {
			return domains, err
		}
		domains = append(domains, dom)
	}
	return domains, nil
}

func free(domains []*lv.Domain) {
	for _, dom := range domains {
		dom.Free()
	}
}

func statsOf(r *lv.DomainStats) (one hypervisor.DomainStats, err error) {
	if one.ID, err = r.Domain.GetUUIDString(); err != nil {
		return one, err
	}
	if one.Name, err = r.Domain.GetName(); err != nil {
		return one, err
	}
	one.Values = values64{}
	whole(one.Values, r)
	balloon(one.Values, r.Balloon)
	processorsOf(&one, r.Vcpu)
	for i := range r.Block {
		one.Disks = append(one.Disks, disk(&r.Block[i]))
	}
	for i := range r.Net {
		if r.Net[i].NameSet { // a card without a device on the host has no counters
			one.Cards = append(one.Cards, card(&r.Net[i]))
		}
	}
	return one, nil
}

// values64 are values by libvirt's names.
type values64 = map[string]float64

func put(to values64, name string, isSet bool, value uint64) {
	if isSet {
		to[name] = float64(value)
	}
}

func whole(to values64, r *lv.DomainStats) {
	if s := r.State; s != nil {
		put(to, "state.state", s.StateSet, uint64(s.State))
		put(to, "state.reason", s.ReasonSet, uint64(s.Reason))
	}
	if c := r.Cpu; c != nil {
		put(to, "cpu.time", c.TimeSet, c.Time)
		put(to, "cpu.user", c.UserSet, c.User)
		put(to, "cpu.system", c.SystemSet, c.System)
		put(to, "cpu.haltpoll.success.time", c.HaltPollSuccessTimeSet, c.HaltPollSuccessTime)
		put(to, "cpu.haltpoll.fail.time", c.HaltPollFailTimeSet, c.HaltPollFailTime)
	}
	if d := r.DirtyRate; d != nil {
		put(to, "dirtyrate.calc_status", d.CalcStatusSet, uint64(d.CalcStatus))
		put(to, "dirtyrate.megabytes_per_second", d.MegabytesPerSecondSet && d.MegabytesPerSecond >= 0, uint64(d.MegabytesPerSecond))
	}
}

func balloon(to values64, b *lv.DomainStatsBalloon) {
	if b == nil {
		return
	}
	put(to, "balloon.current", b.CurrentSet, b.Current)
	put(to, "balloon.maximum", b.MaximumSet, b.Maximum)
	put(to, "balloon.swap_in", b.SwapInSet, b.SwapIn)
	put(to, "balloon.swap_out", b.SwapOutSet, b.SwapOut)
	put(to, "balloon.major_fault", b.MajorFaultSet, b.MajorFault)
	put(to, "balloon.minor_fault", b.MinorFaultSet, b.MinorFault)
	put(to, "balloon.unused", b.UnusedSet, b.Unused)
	put(to, "balloon.available", b.AvailableSet, b.Available)
	put(to, "balloon.usable", b.UsableSet, b.Usable)
	put(to, "balloon.rss", b.RssSet, b.Rss)
	put(to, "balloon.last-update", b.LastUpdateSet, b.LastUpdate)
	put(to, "balloon.disk_caches", b.DiskCachesSet, b.DiskCaches)
	put(to, "balloon.hugetlb_pgalloc", b.HugetlbPgAllocSet, b.HugetlbPgAlloc)
	put(to, "balloon.hugetlb_pgfail", b.HugetlbPgFailSet, b.HugetlbPgFail)
}

// processorsOf takes the list of the most vCPUs that the domain can have. Those that are plugged have a state.
func processorsOf(one *hypervisor.DomainStats, vcpus []lv.DomainStatsVcpu) {
	plugged := 0
	for i := range vcpus {
		v, values := &vcpus[i], values64{}
		put(values, "state", v.StateSet, uint64(v.State))
		put(values, "time", v.TimeSet, v.Time)
		put(values, "wait", v.WaitSet, v.Wait)
		put(values, "delay", v.DelaySet, v.Delay)
		if v.HaltedSet {
			values["halted"] = 0
			if v.Halted {
				values["halted"] = 1
			}
		}
		if v.StateSet {
			plugged++
		}
		one.VCPUs = append(one.VCPUs, values)
	}
	if len(vcpus) > 0 {
		one.Values["vcpu.maximum"], one.Values["vcpu.current"] = float64(len(vcpus)), float64(plugged)
	}
}

func disk(b *lv.DomainStatsBlock) hypervisor.DeviceStats {
	v := values64{}
	put(v, "rd.reqs", b.RdReqsSet, b.RdReqs)
	put(v, "rd.bytes", b.RdBytesSet, b.RdBytes)
	put(v, "rd.times", b.RdTimesSet, b.RdTimes)
	put(v, "wr.reqs", b.WrReqsSet, b.WrReqs)
	put(v, "wr.bytes", b.WrBytesSet, b.WrBytes)
	put(v, "wr.times", b.WrTimesSet, b.WrTimes)
	put(v, "fl.reqs", b.FlReqsSet, b.FlReqs)
	put(v, "fl.times", b.FlTimesSet, b.FlTimes)
	put(v, "errors", b.ErrorsSet, b.Errors)
	put(v, "allocation", b.AllocationSet, b.Allocation)
	put(v, "capacity", b.CapacitySet, b.Capacity)
	put(v, "physical", b.PhysicalSet, b.Physical)
	put(v, "threshold", b.ThresholdSet, b.Threshold)
	return hypervisor.DeviceStats{Name: b.Name, Layer: int(b.BackingIndex), Values: v}
}

func card(n *lv.DomainStatsNet) hypervisor.DeviceStats {
	v := values64{}
	put(v, "rx.bytes", n.RxBytesSet, n.RxBytes)
	put(v, "rx.pkts", n.RxPktsSet, n.RxPkts)
	put(v, "rx.errs", n.RxErrsSet, n.RxErrs)
	put(v, "rx.drop", n.RxDropSet, n.RxDrop)
	put(v, "tx.bytes", n.TxBytesSet, n.TxBytes)
	put(v, "tx.pkts", n.TxPktsSet, n.TxPkts)
	put(v, "tx.errs", n.TxErrsSet, n.TxErrs)
	put(v, "tx.drop", n.TxDropSet, n.TxDrop)
	return hypervisor.DeviceStats{Name: n.Name, Values: v}
}
