package host

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const kibibyte = 1024

// memory reads /proc/meminfo itself: gopsutil adds the reclaimable slab to the page cache.
func (c *Collector) memory(_ context.Context, b *batch) error {
	values, err := keyed(c.cfg.Proc, "meminfo")
	if err != nil {
		return err
	}
	for key, name := range map[string]string{
		"MemTotal": "total", "MemAvailable": "available", "MemFree": "free", "Cached": "cached", "Buffers": "buffers", "Dirty": "dirty", "Slab": "slab",
	} {
		if v, has := values[key]; has {
			b.add("host_memory_"+name+"_bytes", v*kibibyte)
		}
	}
	if available, has := values["MemAvailable"]; has && values["MemTotal"] > 0 {
		b.add("host_memory_utilization_ratio", 1-available/values["MemTotal"])
	}
	if total, has := values["SwapTotal"]; has {
		b.add("host_swap_total_bytes", total*kibibyte)
		b.add("host_swap_used_bytes", (total-values["SwapFree"])*kibibyte)
	}
	return nil
}

// paging reads /proc/vmstat itself: gopsutil takes all pages for 4 KiB, and multiplies faults by it.
func (c *Collector) paging(_ context.Context, b *batch) error {
	values, err := keyed(c.cfg.Proc, "vmstat")
	if err != nil {
		return err
	}
	page := float64(os.Getpagesize())
	for key, name := range map[string]string{"pswpin": "host_swap_in_bytes_total", "pswpout": "host_swap_out_bytes_total"} {
		if v, has := values[key]; has {
			b.add(name, v*page)
		}
	}
	faults, has := values["pgfault"]
	major, hasMajor := values["pgmajfault"]
	if has && hasMajor {
		b.add("host_page_faults_total", faults-major, "type", "minor") // the kernel counts major ones among all
		b.add("host_page_faults_total", major, "type", "major")
	}
	return nil
}

func (c *Collector) hugepages(_ context.Context, b *batch) error {
	for _, folder := range named(c.cfg.Sys, "kernel/mm/hugepages/hugepages-*kB") {
		text := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(folder), "hugepages-"), "kB")
		kib, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		size := strconv.FormatFloat(kib*kibibyte, 'f', -1, 64)
		for file, name := range map[string]string{"nr_hugepages": "host_hugepages_total_bytes", "free_hugepages": "host_hugepages_free_bytes"} {
			pages, ok, err := number(folder, file)
			if err != nil {
				return err
			}
			if ok {
				b.add(name, pages*kib*kibibyte, "size", size)
			}
		}
	}
	return nil
}

func (c *Collector) ksm(_ context.Context, b *batch) error {
	for _, kind := range []string{"shared", "sharing"} {
		pages, ok, err := number(c.cfg.Sys, "kernel/mm/ksm/pages_"+kind)
		if err != nil {
			return err
		}
		if ok {
			b.add("host_ksm_"+kind+"_bytes", pages*float64(os.Getpagesize()))
		}
	}
	return nil
}

// numa reads lines such as «Node 0 MemTotal: 1024 kB».
func (c *Collector) numa(_ context.Context, b *batch) error {
	for _, path := range named(c.cfg.Sys, "devices/system/node/node[0-9]*/meminfo") {
		text, err := lines(path)
		if err != nil {
			return err
		}
		node := strings.TrimPrefix(filepath.Base(filepath.Dir(path)), "node")
		for _, line := range text {
			fields := strings.Fields(line)
			if len(fields) < 4 {
				continue
			}
			name := map[string]string{"MemTotal:": "total", "MemFree:": "free"}[fields[2]]
			if kib, err := strconv.ParseFloat(fields[3], 64); name != "" && err == nil {
				b.add("host_numa_memory_"+name+"_bytes", kib*kibibyte, "node", node)
			}
		}
	}
	return nil
}
