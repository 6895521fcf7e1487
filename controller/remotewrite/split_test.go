package remotewrite

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// series are labels, names and values in turn, with one value.
type series struct {
	labels []string
	value  float64
}

func message(b []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
}

func sample(value float64) []byte {
	b := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(value))
	return protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1_700_000_000_000)
}

// encode1 writes a request of version 1 with a description of a metric.
func encode1(all []series) (b []byte) {
	for _, s := range all {
		var one []byte
		for pair := range slices.Chunk(s.labels, 2) {
			one = message(one, 1, message(message(nil, 1, []byte(pair[0])), 2, []byte(pair[1])))
		}
		b = message(b, 1, message(one, 2, sample(s.value)))
	}
	return message(b, 3, message(nil, 2, []byte("described")))
}

// encode2 writes one of version 2, with references that are packed or not.
func encode2(all []series, packed bool) (b []byte) {
	symbols := map[string]uint64{"": 0}
	b = message(b, 4, nil)
	for _, s := range all {
		for _, text := range s.labels {
			if _, known := symbols[text]; !known {
				symbols[text] = uint64(len(symbols))
				b = message(b, 4, []byte(text))
			}
		}
	}
	for _, s := range all {
		var one, refs []byte
		for _, text := range s.labels {
			refs = protowire.AppendVarint(refs, symbols[text])
			if !packed {
				one = protowire.AppendVarint(protowire.AppendTag(one, 1, protowire.VarintType), symbols[text])
			}
		}
		if packed {
			one = message(nil, 1, refs)
		}
		b = message(b, 5, message(one, 2, sample(s.value)))
	}
	return b
}

// decode reads a part back.
func decode(t require.TestingT, version int, part []byte) (all []series, others int) {
	symbols, err := symbolsOf(part)
	require.NoError(t, err)
	number := protowire.Number(series1)
	if version == 2 {
		number = series2
	}
	require.NoError(t, each(part, func(f field) error {
		if f.number != number {
			others++
			return nil
		}
		one := series{}
		if version == 2 {
			one.labels, err = s2Labels(f.content, symbols)
		} else {
			one.labels, err = s1Labels(f.content)
		}
		require.NoError(t, err)
		return each(f.content, func(f field) error {
			if f.number == 2 {
				bits, _ := protowire.ConsumeFixed64(f.content[1:])
				one.value = math.Float64frombits(bits)
			}
			all = append(all, one)
			if f.number != 2 {
				all = all[:len(all)-1]
			}
			return nil
		})
	}))
	return all, others
}

// Each series is in the one part that is its own, in the order of the request, and all else in every part.
func TestEverySeriesGoesToOnePart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []series
		for i := range rapid.IntRange(0, 30).Draw(t, "series") {
			host := rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "host")
			all = append(all, series{[]string{"__name__", fmt.Sprint("m", i%5), "host", host}, float64(i)})
		}
		hosts := make([]Host, rapid.IntRange(1, spread).Draw(t, "hosts"))
		for i := range hosts {
			hosts[i].Name = fmt.Sprint("host-", i)
		}
		at := func(labels []string) int { return place(hosts, labels) }
		for version, body := range map[int][]byte{1: encode1(all), 2: encode2(all, rapid.Bool().Draw(t, "packed"))} {
			parts, err := split(version, body, len(hosts), at)
			require.NoError(t, err)
			_, others := decode(t, version, body)
			for i, p := range parts.own {
				var mine []series
				for _, s := range all {
					if at(s.labels) == i {
						mine = append(mine, s)
					}
				}
				got, rest := decode(t, version, parts.of(i))
				require.Equal(t, mine, got)
				require.Equal(t, others, rest)
				require.Equal(t, len(mine), p.series)
			}
		}
	})
}

// A host that is lost moves its own series, and no sender has more than a few hosts.
func TestALostHostMovesItsOwnSeriesAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := make([]Host, rapid.IntRange(2, 40).Draw(t, "hosts"))
		for i := range hosts {
			hosts[i].Name = fmt.Sprint("host-", i)
		}
		before := chosen(hosts, "sender")
		require.Len(t, before, min(len(hosts), spread))
		lost := before[rapid.IntRange(0, len(before)-1).Draw(t, "lost")]
		after := chosen(slices.DeleteFunc(slices.Clone(hosts), func(h Host) bool { return h == lost }), "sender")
		came := slices.DeleteFunc(slices.Clone(after), func(h Host) bool { return slices.Contains(before, h) })
		require.LessOrEqual(t, len(came), 1)
		for i := range 100 {
			labels := []string{"__name__", fmt.Sprint("metric-", i)}
			was, is := before[place(before, labels)], after[place(after, labels)]
			require.True(t, was == is || was == lost || slices.Contains(came, is), "%v went from %v to %v", labels, was, is)
		}
	})
}

func TestSeriesAreSpreadEvenly(t *testing.T) {
	hosts := make([]Host, spread)
	for i := range hosts {
		hosts[i].Name = fmt.Sprint("hypervisor-", i)
	}
	counts := make([]int, spread)
	for i := range 8000 {
		counts[place(hosts, []string{"__name__", "m", "instance", fmt.Sprint("10.0.0.", i)})]++
	}
	for _, n := range counts {
		require.InDelta(t, 1000, n, 200)
	}
}

// What many labels say is not all kept, and what all hosts would get is bounded.
func TestHostileRequestsTakeLittleRoom(t *testing.T) {
	refs := message(nil, 1, bytes.Repeat([]byte{0}, 1<<20))
	labels := 0
	_, err := split(2, message(message(nil, 4, nil), 5, refs), 2, func(all []string) int { labels = len(all); return 0 })
	require.NoError(t, err)
	require.Equal(t, maxPlaced, labels)
	_, err = split(1, message(nil, 1, bytes.Repeat(message(nil, 1, nil), 1000)), 2, func(all []string) int { labels = len(all); return 0 })
	require.NoError(t, err)
	require.Equal(t, maxPlaced, labels)
	_, err = split(1, message(nil, 3, make([]byte, maxShared)), 2, func([]string) int { return 0 })
	require.ErrorIs(t, err, errShared)
}

func FuzzSplit(f *testing.F) {
	some := []series{{[]string{"__name__", "up", "host", "a"}, 1}, {[]string{"__name__", "up", "host", "b"}, 0}}
	f.Add(1, encode1(some))
	f.Add(2, encode2(some, true))
	f.Add(2, encode2(some, false))
	f.Add(2, bytes.Repeat([]byte{0x2a, 2, 0x0a, 0}, 3))
	f.Fuzz(func(t *testing.T, version int, body []byte) {
		parts, err := split(version, body, 3, func(labels []string) int { return len(labels) % 3 })
		if err != nil {
			require.True(t, errors.Is(err, errBroken) || errors.Is(err, errShared), "%v", err)
			return
		}
		total := len(parts.shared)
		for _, p := range parts.own {
			total += len(p.message)
		}
		require.Equal(t, len(body), total, "every byte is in one part or in all")
	})
}
