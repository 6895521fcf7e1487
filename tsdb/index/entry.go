package index

// Entry returns a copy of what was kept about a series, appended to entry: what Series returns, without the labels.
func (r *Reader) Entry(ordinal uint32, entry []byte) ([]byte, error) {
	record, err := r.record(ordinal)
	if err != nil {
		return nil, err
	}
	pairs := r.pairsOf(record)
	for pairs.left > 0 {
		pairs.left-- // both numbers of a label are after the ones of the labels before
		pairs.uvarint()
		pairs.uvarint()
	}
	if pairs.err != nil {
		return nil, pairs.err
	}
	return append(entry, pairs.rest...), nil
}
