package custom

import (
	"fmt"

	"github.com/novacron/novacron/tsdb"
)

// readWrite1 reads a prometheus.WriteRequest, of remote write 1.0.
func readWrite1(message []byte, maxSamples int) (written, error) {
	r := &writeReader{maxSamples: maxSamples}
	err := fields(message, func(f field) error {
		if f.number != 1 && f.number != 3 {
			return nil
		}
		part, err := f.message()
		if err != nil {
			return err
		}
		if f.number == 3 {
			return r.metadata1(part)
		}
		return r.series1(part)
	})
	if err != nil {
		return written{}, fmt.Errorf("prometheus.WriteRequest: %w", err)
	}
	return r.finish(), nil
}

func (r *writeReader) series1(message []byte) error {
	s, err := r.begin()
	if err != nil {
		return err
	}
	err = fields(message, func(f field) error {
		switch f.number {
		case 1:
			return r.label1(f, s.label)
		case 2:
			if err := r.countSample(); err != nil {
				return err
			}
			return s.sample(f)
		case 3:
			return r.exemplar1(f, s)
		case 4:
			if err := r.countSample(); err != nil {
				return err
			}
			return s.histogram(f)
		}
		return nil
	})
	r.end(s)
	return err
}

func (r *writeReader) label1(f field, add func(name, value string)) error {
	message, err := f.message()
	if err != nil {
		return err
	}
	var name, value string
	err = fields(message, func(f field) error {
		part, err := f.message()
		if f.number == 1 {
			name = r.text(part)
			return err
		}
		if f.number == 2 {
			value = r.text(part)
			return err
		}
		return nil
	})
	add(name, value)
	return err
}

func (r *writeReader) exemplar1(f field, s *wireSeries) error {
	message, err := f.message()
	if err != nil {
		return err
	}
	if err := r.countExemplar(); err != nil {
		return err
	}
	var pairs []string
	var value float64
	var at int64
	err = fields(message, func(f field) (err error) {
		switch f.number {
		case 1:
			err = r.label1(f, func(name, value string) {
				if len(pairs) < 2*maxWireLabels {
					pairs = append(pairs, name, value)
				}
			})
		case 2:
			value, err = f.float()
		case 3:
			at, err = f.integer()
		}
		return err
	})
	s.exemplars = append(s.exemplars, exemplarOf(pairs, value, at))
	return err
}

// wireTypes are the types of metrics by their numbers in both versions.
var wireTypes = []tsdb.MetricType{tsdb.TypeUnknown, tsdb.TypeCounter, tsdb.TypeGauge, tsdb.TypeHistogram, tsdb.TypeHistogram, tsdb.TypeSummary, tsdb.TypeInfo, tsdb.TypeStateSet}

func wireType(number int64) tsdb.MetricType {
	if number < 0 || number >= int64(len(wireTypes)) {
		return tsdb.TypeUnknown
	}
	return wireTypes[number]
}

func (r *writeReader) metadata1(message []byte) error {
	if len(r.got.families) >= r.maxSamples {
		return fmt.Errorf("%w: it describes more than %d metrics; send fewer at once", errTooLarge, r.maxSamples)
	}
	var one family
	err := fields(message, func(f field) error {
		if f.number == 1 {
			number, err := f.integer()
			one.kind = wireType(number)
			return err
		}
		text, err := f.message()
		switch f.number {
		case 2:
			one.name = r.text(text)
		case 4:
			one.help = r.text(text)
		case 5:
			one.unit = r.text(text)
		default:
			return nil
		}
		return err
	})
	r.got.families = append(r.got.families, one)
	return err
}
