package durable

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"os"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/index"
)

// imageOptions have short spans, so that an image of few samples has several.
func imageOptions() Options {
	return Options{
		Span: time.Minute, Sync: time.Hour, Maintain: -1, AnyAge: true, Ahead: -1, Exemplars: 4,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: func() time.Time { return time.UnixMilli(600_000) },
	}.withDefaults()
}

// imageOf is the image of a store with something of everything.
func imageOf(t testing.TB) []byte {
	dir := t.TempDir()
	s, err := Open(dir, imageOptions())
	require.NoError(t, err)
	whole := &histogram.Histogram{Schema: 1, Count: 2, Sum: 3, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{2}}
	for _, name := range []string{"a", "b", "c"} {
		ref, err := s.Ref(labels.FromStrings("__name__", name, "job", "x"))
		require.NoError(t, err)
		batch := engine.Batch{}
		for i := range int64(12) {
			batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: i * 15_000, V: float64(i)})
		}
		batch.Samples = append(batch.Samples, engine.Sample{Ref: ref, T: 20_000, V: 1})
		batch.Starts = []engine.Start{{Index: 3, ST: 7}}
		batch.Histograms = []engine.HistogramSample{{Ref: ref, T: 200_000, Int: whole}, {Ref: ref, T: 210_000, Float: whole.ToFloat(nil)}}
		batch.Exemplars = []engine.ExemplarSample{{Ref: ref, Exemplar: exemplar.Exemplar{Labels: labels.FromStrings("trace", name), Value: 1, Ts: 9, HasTs: true}}}
		_, err = s.Append(t.Context(), batch)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	image, err := os.ReadFile(s.path(imageName))
	require.NoError(t, err)
	return image
}

// bare takes an image apart into letters, lengths and bytes, without what a fuzzer cannot guess: the checksums.
func bare(image []byte) (sections []byte) {
	for rest := image[len(imageMagic):]; len(rest) > imageFrame; {
		size := int(binary.LittleEndian.Uint32(rest[1:]))
		sections = append(sections, rest[0])
		sections = binary.AppendUvarint(sections, uint64(size))
		sections = append(sections, rest[imageFrame:imageFrame+size]...)
		rest = rest[imageFrame+size+imageSum:]
	}
	return sections
}

// framed is the image of sections.
func framed(sections []byte) []byte {
	image := []byte(imageMagic)
	for len(sections) > 1 {
		size, n := binary.Uvarint(sections[1:])
		if n <= 0 {
			break
		}
		body := sections[1+n:]
		body = body[:min(size, uint64(len(body)))]
		at := len(image)
		image = binary.LittleEndian.AppendUint32(append(image, sections[0]), uint32(len(body)))
		image = append(image, body...)
		image = binary.LittleEndian.AppendUint32(image, crc32.Checksum(image[at:], castagnoli))
		sections = sections[1+n+len(body):]
	}
	return image
}

func TestFramedImageIsTheImage(t *testing.T) {
	image := imageOf(t)
	require.Equal(t, image, framed(bare(image)))
}

// FuzzImage reads images of any sections, and uses what was read: no panic, and no memory beyond what the bytes justify.
func FuzzImage(f *testing.F) {
	f.Add(bare(imageOf(f)))
	f.Fuzz(func(t *testing.T, sections []byte) {
		image := framed(sections)
		options := imageOptions()
		s := &Store{options: options, index: index.New(index.Limits{}, options.Clock), head: newHead(options.Span.Milliseconds()), exemplars: newExemplarRing(4)}
		r := newImageReader(s, bufio.NewReader(bytes.NewReader(image)), int64(len(image)))
		err := r.read(func(*position) error { return nil })
		defer r.head.close()
		if err != nil {
			return
		}
		s.head, s.index, s.exemplars = r.head, r.index, r.exemplars
		s.useAll(t)
	})
}

// useAll reads all samples, appends to every series, and ends all chunks. Samples that make no sense may be refused.
func (s *Store) useAll(t *testing.T) {
	all, err := s.index.Refs(t.Context(), false)
	require.NoError(t, err)
	spans := s.head.acquire(math.MinInt64, math.MaxInt64)
	st := s.newHeadStream(all, spans, math.MinInt64, math.MaxInt64)
	a := newAnswer(t.Context(), engine.Selection{Min: math.MinInt64, Max: math.MaxInt64}, []stream{st}, &deletion{}, spans.release)
	var it chunkenc.Iterator
	for a.Next() {
		it = a.At().Iterator(it)
		for it.Next() != chunkenc.ValNone {
			it.AtT()
		}
	}
	require.NoError(t, a.Close())
	for _, series := range all {
		_ = s.head.addSamples([]loggedSample{{series.ID, 600_000, 1}}, nil)
	}
	_ = s.head.endBefore(latest)
}
