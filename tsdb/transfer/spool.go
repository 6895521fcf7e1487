package transfer

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/novacron/novacron/tsdb/merge"
)

// spool sorts samples that come in any order, with bounded memory: those of each stretch of time are put together into
// one file, and read again stretch by stretch. Only labels stay in memory, some hundred bytes for each series.
type spool struct {
	target Target
	limit  int // samples in memory
	file   *os.File
	size   int64

	series []labels.Labels
	ids    map[string]uint32 // by the labels as bytes
	buf    []byte

	last  merge.Interval // of the sample before: most samples follow one another
	young map[merge.Interval][]row
	held  int
	spilt map[merge.Interval][]extent
}

// row is one sample; of those with the same series and time the one that came last stays.
type row struct {
	t  int64
	v  float64
	id uint32
}

const rowBytes = 20

// extent is a run of rows in the file.
type extent struct {
	offset int64
	rows   int
}

func newSpool(target Target, options *Options) *spool {
	return &spool{
		target: target, limit: options.Buffer, ids: map[string]uint32{}, last: merge.Interval{Min: 1, Max: 0},
		young: map[merge.Interval][]row{}, spilt: map[merge.Interval][]extent{},
	}
}

// id is the number of a series.
func (s *spool) id(lset labels.Labels) uint32 {
	s.buf = lset.Bytes(s.buf)
	if id, known := s.ids[string(s.buf)]; known {
		return id
	}
	id := uint32(len(s.series))
	s.series = append(s.series, lset)
	s.ids[string(s.buf)] = id
	return id
}

func (s *spool) add(id uint32, t int64, v float64, scratch string) error {
	if t < s.last.Min || t > s.last.Max {
		s.last = s.target.ImportRange(t)
	}
	s.young[s.last] = append(s.young[s.last], row{t, v, id})
	if s.held++; s.held < s.limit {
		return nil
	}
	return s.spill(scratch)
}

// spill moves what is in memory to the file, which has no name any more: it goes with the process.
func (s *spool) spill(scratch string) (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp(scratch, "import-*.unfinished"); err != nil {
			return fmt.Errorf("sorting the samples: %w", err)
		}
		if err := os.Remove(s.file.Name()); err != nil {
			return fmt.Errorf("sorting the samples: %w", err)
		}
	}
	var text []byte
	for span, rows := range s.young {
		text = text[:0]
		for _, r := range rows {
			text = binary.LittleEndian.AppendUint64(text, uint64(r.t))
			text = binary.LittleEndian.AppendUint64(text, math.Float64bits(r.v))
			text = binary.LittleEndian.AppendUint32(text, r.id)
		}
		if _, err := s.file.WriteAt(text, s.size); err != nil {
			return fmt.Errorf("sorting the samples: %w: make room, or import fewer at a time", err)
		}
		s.spilt[span] = append(s.spilt[span], extent{s.size, len(rows)})
		s.size += int64(len(text))
	}
	clear(s.young)
	s.held = 0
	return nil
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// spans are the stretches of time that have samples, in order.
func (s *spool) spans() []merge.Interval {
	all := maps.Clone(s.spilt)
	for span := range s.young {
		all[span] = append(all[span], extent{})
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b merge.Interval) int { return cmp.Compare(a.Min, b.Min) })
}

// runs gives the rows of a stretch of time to use, in the order in which they came, not many more than the limit at a
// time. Use may change their order.
func (s *spool) runs(span merge.Interval, use func([]row) error) error {
	var rows []row
	for _, e := range s.spilt[span] {
		var err error
		if rows, err = s.read(rows, e); err != nil {
			return err
		}
		if len(rows) >= s.limit {
			if err := use(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	rows = append(rows, s.young[span]...)
	delete(s.young, span)
	if len(rows) == 0 {
		return nil
	}
	return use(rows)
}

func (s *spool) read(rows []row, e extent) ([]row, error) {
	text := make([]byte, e.rows*rowBytes)
	if _, err := s.file.ReadAt(text, e.offset); err != nil {
		return nil, fmt.Errorf("sorting the samples: %w", err)
	}
	for ; len(text) > 0; text = text[rowBytes:] {
		rows = append(rows, row{
			int64(binary.LittleEndian.Uint64(text)), math.Float64frombits(binary.LittleEndian.Uint64(text[8:])), binary.LittleEndian.Uint32(text[16:]),
		})
	}
	return rows, nil
}

// blocks makes blocks of all samples.
func (s *spool) blocks(ctx context.Context, report *Report) error {
	ranks := s.ranks()
	used := map[uint32]struct{}{}
	for _, span := range s.spans() {
		err := s.runs(span, func(rows []row) error {
			meta, err := s.target.ImportBlock(ctx, func(add func(labels.Labels, []merge.Chunk) error) error {
				return s.fill(ctx, rows, ranks, used, add)
			})
			if err != nil {
				return err
			}
			report.widen(meta.MinTime, meta.MaxTime)
			report.Samples += int64(meta.Samples)
			report.Blocks++
			return nil
		})
		if err != nil {
			return errors.Join(fmt.Errorf("importing the samples from %s to %s (%d blocks are imported, and stay): %w", stamp(span.Min), stamp(span.Max), report.Blocks, err))
		}
	}
	report.Series = int64(len(used))
	return nil
}

// ranks are the places of the series in the order of their labels.
func (s *spool) ranks() []uint32 {
	order := make([]uint32, len(s.series))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return labels.Compare(s.series[a], s.series[b]) })
	ranks := make([]uint32, len(order))
	for rank, id := range order {
		ranks[id] = uint32(rank)
	}
	return ranks
}

// chunkSamples is how many floats or histograms a chunk of an imported block holds.
const chunkSamples = 240

// fill adds rows to a block, series by series.
func (s *spool) fill(ctx context.Context, rows []row, ranks []uint32, used map[uint32]struct{}, add func(labels.Labels, []merge.Chunk) error) error {
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(ranks[a.id], ranks[b.id]), cmp.Compare(a.t, b.t)) })
	var b builder
	for len(rows) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, n := rows[0].id, 1
		for n < len(rows) && rows[n].id == id {
			n++
		}
		b.reset()
		for i, r := range rows[:n] {
			if i+1 < n && rows[i+1].t == r.t {
				continue // another of the same time came later
			}
			b.float(r.t, r.v)
		}
		used[id] = struct{}{}
		if err := add(s.series[id], b.finish()); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
