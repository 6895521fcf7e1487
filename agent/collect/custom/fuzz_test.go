package custom

import (
	"math"
	"testing"
	"unicode/utf8"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/collect"
)

// check holds what is true of all metrics that a reader yields.
func check(t *testing.T, all []collect.Metric, most int) {
	if len(all) > most {
		t.Fatalf("%d samples, at most %d", len(all), most)
	}
	buckets := 0
	for _, m := range all {
		if m.Name == "" || m.Timestamp.IsZero() || m.Labels["__name__"] != "" {
			t.Fatalf("not a metric: %+v", m)
		}
		if !m.Start.IsZero() && m.Start.After(m.Timestamp) {
			t.Fatalf("it began %v, after %v", m.Start, m.Timestamp)
		}
		if m.Histogram != nil {
			buckets += len(m.Histogram.PositiveBuckets)
		}
	}
	// What was read passes or is told of: nothing of it may break the gate.
	admitted, refused := collect.NewRegistry().Admit(all, collect.Limits{Undeclared: true})
	if len(admitted)+len(refused) != len(all) {
		t.Fatalf("%d admitted and %d refused of %d", len(admitted), len(refused), len(all))
	}
	for _, m := range admitted {
		for name, value := range m.Labels {
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				t.Fatalf("admitted: label %q %q", name, value)
			}
		}
	}
}

func fuzzExposition(f *testing.F, contentType string, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := reading{contentType: contentType, at: start, native: true, classic: true, maxSamples: 1000, series: plainSeries}
		got, err := r.read(body)
		if err != nil && len(got.metrics) > 0 {
			t.Fatal("something of a text that cannot be read counts")
		}
		check(t, got.metrics, 1000)
		c := &Collector{cfg: Config{Limits: ScrapeLimits{Samples: 1000, Labels: 40, LabelNameBytes: 1024, LabelValueBytes: 4096}}, target: map[string]string{"job": "j", "instance": "i"}, fetch: &fetcher{address: mustURL}}
		c.forget()
		c.round = 1
		first, err := c.take(answer{body, contentType}, start)
		if err != nil {
			return
		}
		c.round++
		second, err := c.take(answer{body, contentType}, start.Add(1))
		if err != nil || len(first) != len(second) {
			t.Fatalf("the same text yields %d and then %d: %v", len(first), len(second), err)
		}
		for _, m := range second {
			if m.Labels["job"] != "j" || m.Labels["instance"] != "i" {
				t.Fatalf("labels of the target: %v", m.Labels)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	fuzzExposition(f, "text/plain; version=0.0.4",
		"# HELP a Text.\n# TYPE a counter\na{b=\"c\\n\\\"\"} 1 1767322800123\n",
		"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum NaN\nh_count 1\n", "{\"a.b\",c=\"d\"} 1\n", "a 1\na 2\n", "a{job=\"x\",exported_job=\"y\"} 1\n")
}

func FuzzOpenMetrics(f *testing.F) {
	fuzzExposition(f, "application/openmetrics-text; version=1.0.0",
		"# TYPE a counter\n# UNIT a seconds\na_total{b=\"c\"} 1 1.5 # {trace_id=\"x\"} 1 1.2\na_created{b=\"c\"} 1.0\n# EOF\n",
		"# TYPE h gaugehistogram\nh_gcount 1\nh_gsum 2\n# EOF\n", "# TYPE s stateset\ns{s=\"a\"} 1\n# EOF\n")
}

func FuzzProtobuf(f *testing.F) {
	histogram := message(
		bytesField(1, []byte("h")), varintField(3, 4), bytesField(5, []byte("seconds")),
		bytesField(4, message(bytesField(7, message(
			varintField(1, 3), doubleField(2, 12), zigzagField(5, 1), doubleField(6, 0.001), varintField(7, 0),
			bytesField(3, message(varintField(1, 3), doubleField(2, 1))),
			bytesField(12, message(zigzagField(1, 0), varintField(2, 2))), zigzagField(13, 1), zigzagField(13, 1),
		)))),
	)
	gauge := message(bytesField(1, []byte("g")), varintField(3, 1), bytesField(4, message(
		bytesField(1, message(bytesField(1, []byte("a")), bytesField(2, []byte("b")))), bytesField(2, doubleField(1, 4.5)))))
	fuzzExposition(f, protobufType, delimited(gauge, histogram), delimited(histogram))
}

func FuzzWrite1(f *testing.F) {
	f.Add(message(series1(label1("__name__", "a"), label1("b", "c"), sampleField(1, at), bytesField(3, message(label1("t", "x"), doubleField(2, 1), varintField(3, 7)))),
		bytesField(3, message(varintField(1, 1), bytesField(2, []byte("a")), bytesField(4, []byte("Help."))))))
	f.Add(series1(label1("__name__", "h"), bytesField(4, nativeFields())))
	fuzzWrite(f, readWrite1)
}

func FuzzWrite2(f *testing.F) {
	f.Add(message(symbols("", "__name__", "a", "b", "c"), series2(packed(1, 1, 2, 3, 4), sampleField(1, at), bytesField(5, message(varintField(1, 1), varintField(3, 4))), bytesField(4, packed(1, 3, 4)))))
	f.Add(message(symbols("", "__name__", "h"), series2(varintField(1, 1), varintField(1, 2), bytesField(3, nativeFields()))))
	fuzzWrite(f, readWrite2)
}

func fuzzWrite(f *testing.F, read func([]byte, int) (written, error)) {
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(body, 1000)
		if err != nil {
			require.Empty(t, got.metrics)
			return
		}
		check(t, got.metrics, 1000)
		for _, m := range got.metrics {
			if m.Histogram != nil && m.Histogram.Validate() != nil {
				t.Fatalf("a histogram that is none: %v", m.Histogram)
			}
		}
	})
}

// FuzzUnsnap holds that no packed body makes more than is allowed.
func FuzzUnsnap(f *testing.F) {
	f.Add(snappy.Encode(nil, make([]byte, 5000)))
	f.Add([]byte("\xff\xff\xff\x7f\x00"))
	receiver := &Receiver{Registry: collect.NewRegistry(), Sink: &sink{}, Limits: Limits{Undeclared: true, MaxBytes: 10_000}}
	handler := receiver.WriteHandler()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, contentType := range []string{type1, type2} {
			if code := request(handler, contentType, body).Code; code != 204 && code != 400 && code != 413 {
				t.Fatalf("answer %d", code)
			}
		}
	})
}

func FuzzPushJSON(f *testing.F) {
	f.Add([]byte(`[{"name":"a","labels":{"b":"c"},"value":1,"time":"2026-01-02T03:00:05Z"}]`))
	f.Add([]byte(`{"name":"a","value":"NaN"}{"name":"a","value":-1e308,"type":"gauge","unit":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := Decode(body, "application/json", start, 1000)
		if err != nil {
			return
		}
		if len(got) > 1000 {
			t.Fatal(len(got))
		}
		for _, m := range got {
			if math.Float64bits(m.Value) == math.Float64bits(collect.Stale()) {
				t.Fatal("a stale marker was pushed")
			}
		}
		(&Receiver{Registry: collect.NewRegistry()}).Check(got)
	})
}
