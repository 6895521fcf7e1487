package custom

import (
	"errors"
	"fmt"
)

// maxSymbols bounds the texts of a request, and with them what they take beyond their bytes.
const maxSymbols = 500_000

// write2Reader reads a request of remote write 2.0, whose texts are numbers of symbols.
type write2Reader struct {
	writeReader
	symbols []string
}

// readWrite2 reads an io.prometheus.write.v2.Request.
func readWrite2(message []byte, maxSamples int) (written, error) {
	r := &write2Reader{writeReader: writeReader{maxSamples: maxSamples}}
	err := r.readSymbols(message)
	if err == nil {
		err = fields(message, r.part)
	}
	if err != nil {
		return written{}, fmt.Errorf("io.prometheus.write.v2.Request: %w", err)
	}
	return r.finish(), nil
}

// readSymbols comes first: nothing says that a message has its fields in order.
func (r *write2Reader) readSymbols(message []byte) error {
	err := fields(message, func(f field) error {
		if f.number != 4 {
			return nil
		}
		text, err := f.message()
		if len(r.symbols) == maxSymbols {
			return fmt.Errorf("%w: it has more than %d symbols; send fewer series at once", errTooLarge, maxSymbols)
		}
		r.symbols = append(r.symbols, string(text))
		return err
	})
	if err == nil && len(r.symbols) > 0 && r.symbols[0] != "" {
		return fmt.Errorf("the first symbol is %.60q: it has to be empty", r.symbols[0])
	}
	return err
}

func (r *write2Reader) part(f field) error {
	if f.number != 5 {
		return nil
	}
	message, err := f.message()
	if err != nil {
		return err
	}
	s, err := r.begin()
	if err != nil {
		return err
	}
	refs, err := r.series2(message, s)
	if err != nil {
		return err
	}
	if pairs, err := r.pairs(refs); err != nil {
		s.fault = err
	} else {
		for i := 0; i < len(pairs); i += 2 {
			s.label(pairs[i], pairs[i+1])
		}
	}
	r.end(s)
	return nil
}

func (r *write2Reader) series2(message []byte, s *wireSeries) (refs []uint64, err error) {
	err = fields(message, func(f field) error {
		switch f.number {
		case 1:
			return f.varints(addRef(&refs))
		case 2:
			if err := r.countSample(); err != nil {
				return err
			}
			return s.sample(f)
		case 3:
			if err := r.countSample(); err != nil {
				return err
			}
			return s.histogram(f)
		case 4:
			return r.exemplar2(f, s)
		case 5:
			return r.metadata2(f, s)
		}
		return nil
	})
	return refs, err
}

// addRef keeps one more than allowed, which tells that there are too many.
func addRef(refs *[]uint64) func(uint64) error {
	return func(v uint64) error {
		if len(*refs) < 2*maxWireLabels+2 {
			*refs = append(*refs, v)
		}
		return nil
	}
}

var errRefs = errors.New("its references to symbols are odd in number: labels are pairs")

// pairs are the texts that references mean.
func (r *write2Reader) pairs(refs []uint64) ([]string, error) {
	if len(refs)%2 != 0 {
		return nil, errRefs
	}
	all := make([]string, len(refs))
	for i, ref := range refs {
		text, err := r.symbol(ref)
		if err != nil {
			return nil, err
		}
		all[i] = text
	}
	return all, nil
}

func (r *write2Reader) symbol(ref uint64) (string, error) {
	switch {
	case ref < uint64(len(r.symbols)):
		return r.symbols[ref], nil
	case ref == 0:
		return "", nil
	}
	return "", fmt.Errorf("it refers to symbol %d of %d", ref, len(r.symbols))
}

func (r *write2Reader) exemplar2(f field, s *wireSeries) error {
	message, err := f.message()
	if err != nil {
		return err
	}
	if err := r.countExemplar(); err != nil {
		return err
	}
	var refs []uint64
	var value float64
	var at int64
	err = fields(message, func(f field) (err error) {
		switch f.number {
		case 1:
			err = f.varints(addRef(&refs))
		case 2:
			value, err = f.float()
		case 3:
			at, err = f.integer()
		}
		return err
	})
	if err != nil {
		return err
	}
	pairs, err := r.pairs(refs)
	if err != nil {
		s.fault = fmt.Errorf("an exemplar: %w", err)
		return nil //nolint:nilerr // the series is at fault and not the request
	}
	s.exemplars = append(s.exemplars, exemplarOf(pairs, value, at))
	return nil
}

func (r *write2Reader) metadata2(f field, s *wireSeries) error {
	message, err := f.message()
	if err != nil {
		return err
	}
	return fields(message, func(f field) error {
		switch f.number {
		case 1, 3, 4:
		default:
			return nil
		}
		number, err := f.integer()
		if err != nil {
			return err
		}
		if f.number == 1 {
			s.kind = wireType(number)
			return nil
		}
		text, err := r.symbol(uint64(number)) // one that is negative is beyond all symbols
		if err != nil {
			s.fault = fmt.Errorf("its metadata: %w", err)
			return nil //nolint:nilerr // the series is at fault and not the request
		}
		if f.number == 3 {
			s.help = text
		} else {
			s.unit = text
		}
		return nil
	})
}
