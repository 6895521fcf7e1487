package bench

import "unsafe"

// measureHead fills a store until it has brought its first two hours from memory to disk, and tells the most memory that
// it took meanwhile, without that of the samples' maker.
func measureHead(m *measuring) error {
	took, err := m.fill.all()
	if err != nil {
		return err
	}
	m.put("head_ingest", float64(took.Nanoseconds())/float64(m.fill.samples), "ns", m.fill.samples)
	peak, err := m.peak()
	if err != nil {
		return err
	}
	maker := int64(0)
	if m.here() {
		maker = m.fill.bytes()
		m.put("head_maker", float64(maker)/(1<<20), "MB", 0)
	}
	m.put("head_rss", float64(peak-maker)/(1<<20), "MB", 0)
	if o, is := m.store.(*ours); is {
		heap, head := o.memory()
		m.put("head_heap", float64(heap-maker)/(1<<20), "MB", 0)
		m.put("head_young", float64(head)/(1<<20), "MB", 0)
	}
	return m.show()
}

// bytes is the memory of what makes the samples: the series' states, and the samples that are about to be stored.
func (f *filling) bytes() int64 {
	n := int64(len(f.w.state)) * int64(unsafe.Sizeof(generator{}))
	for i := range f.groups {
		n += 8 * int64(cap(f.groups[i].times))
		for _, values := range f.groups[i].values {
			n += 8 * int64(cap(values))
		}
	}
	return n
}
