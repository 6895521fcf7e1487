package api

import (
	"fmt"
	"math"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/httpapi"
)

// readClient is Prometheus's own client.
func readClient(t *testing.T, address string) storage.SampleAndChunkQueryable {
	t.Helper()
	u, err := url.Parse(address + "/api/v1/read")
	require.NoError(t, err)
	client, err := remote.NewReadClient("test", &remote.ClientConfig{URL: &config.URL{URL: u}, Timeout: model.Duration(10 * time.Second), ChunkedReadLimit: 1 << 20})
	require.NoError(t, err)
	return remote.NewSampleAndChunkQueryableClient(client, labels.EmptyLabels(), nil, true, func() (int64, error) { return 0, nil })
}

// TestRemoteRead holds that every sample, native histograms too, comes to the client as it is stored.
func TestRemoteRead(t *testing.T) {
	p := newPlace(t)
	p.addHistograms(t)
	far := readClient(t, serve(t, p))
	anything := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")
	want, got := contents(t, p.source, anything), contents(t, far, anything)
	assert.Greater(t, len(want), 10)
	assert.Equal(t, want, got)
	some := labels.MustNewMatcher(labels.MatchNotRegexp, "host", "h0|")
	assert.Equal(t, contents(t, p.source, some), contents(t, far, some))
}

// contents are all samples by series, as text.
func contents(t *testing.T, q storage.Queryable, m *labels.Matcher) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	querier, err := q.Querier(at(0)+1, at(samples-2))
	require.NoError(t, err)
	defer querier.Close()
	set := querier.Select(t.Context(), true, nil, m)
	for set.Next() {
		name := set.At().Labels().String()
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			all[name] = append(all[name], sampleText(kind, it))
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	return all
}

// TestRemoteReadLimit holds that more than may be held is refused, with the limit.
func TestRemoteReadLimit(t *testing.T) {
	p := newPlace(t)
	p.options.Limits = httpapi.Limits{ReadSamples: 100}
	querier, err := readClient(t, serve(t, p)).Querier(at(0), at(samples))
	require.NoError(t, err)
	defer querier.Close()
	set := querier.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	for set.Next() {
		t.Fatal("a series came")
	}
	require.ErrorContains(t, set.Err(), "allowed are 100")
}

// sampleText is a sample to the bit.
func sampleText(kind chunkenc.ValueType, it chunkenc.Iterator) string {
	if kind == chunkenc.ValFloat {
		ts, v := it.At()
		return fmt.Sprintf("%d %x", ts, math.Float64bits(v))
	}
	ts, h := it.AtFloatHistogram(nil)
	return fmt.Sprintf("%d %s %x", ts, h, math.Float64bits(h.Sum))
}
