package httpapi

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/tsdb/promjson"
)

// FuzzParams holds that any parameters are refused as bad data or read within their bounds.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		"start=1&end=2&step=1&limit=3", "start=2026-01-02T15:04:05Z&end=1e9&step=5m&timeout=1h", "start=-9e15&end=9e15&step=1e9",
		"start=292277025-08-18T07:12:54.999999999Z", "end=-292273086-05-16T16:47:06Z&step=0.001", "match[]={a=~`b`}&match[]=x", "start=NaN&end=Inf&step=1e300",
	} {
		f.Add(seed)
	}
	handler := New(Options{}).(*http.ServeMux)
	require.NotNil(f, handler)
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{}, Form: values}
		start, end, step, err := rangeParam(r)
		if err == nil {
			assert.LessOrEqual(t, start, end)
			assert.Positive(t, step)
			assert.LessOrEqual(t, float64(end)/float64(step)-float64(start)/float64(step), float64(maxPoints+1))
		} else {
			assert.Equal(t, badData, fail(err).kind)
		}
		from, to, err := timesParam(r)
		if err == nil {
			assert.True(t, from >= minTime && from <= maxTime && to >= minTime && to <= maxTime, "%d %d", from, to)
		}
		if d, err := durationParam(r, "timeout"); err == nil {
			assert.True(t, d >= 0 && d < time.Duration(math.MaxInt64))
		}
		w := httptest.NewRecorder()
		r = &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/v1/format_query", RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		handler.ServeHTTP(w, r)
		assert.Contains(t, []int{200, 400, 414}, w.Code, "%s", w.Body)
		assert.True(t, json.Valid(w.Body.Bytes()))
	})
}

// FuzzString holds that any text is a JSON string with the same text, where it is UTF-8.
func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "a\"b\\\n\x00ü\u2028", "\xff\xfe", "\xed\xa0\x80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		require.NoError(t, json.Unmarshal(promjson.AppendString(nil, text), &got))
		plain, err := json.Marshal(text)
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(plain, &want))
		assert.Equal(t, want, got)
	})
}
