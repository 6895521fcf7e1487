package gcpmonitoring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	monitoringv3 "cloud.google.com/go/monitoring/apiv3/v2"
	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/agent/collect/cloud"
)

// reading is what the calls of one iterator come to. It is for one goroutine at a time.
type reading struct {
	pagesLeft int
	// answers are the pages that came, returned the time series on them; an answer without any is charged like one.
	answers, returned int
	// unable are the errors beside answers: something is missing.
	unable []string
}

type readingKey struct{}

// withReading bounds the pages that are read with a context and notes what they hold.
func withReading(ctx context.Context, maxPages int) (context.Context, *reading) {
	r := &reading{pagesLeft: maxPages}
	return context.WithValue(ctx, readingKey{}, r), r
}

var errPages = errors.New("more pages than are read in one collection; collect more often, select regions or raise the bound")

// turnPage counts a page before it is asked for.
func turnPage(ctx context.Context) error {
	r, _ := ctx.Value(readingKey{}).(*reading)
	if r == nil {
		return nil
	}
	if r.pagesLeft == 0 {
		return errPages
	}
	r.pagesLeft--
	return nil
}

// note keeps what an answer says besides its series.
func (r *reading) note(reply any) {
	answer, ok := reply.(*monitoringpb.ListTimeSeriesResponse)
	if r == nil || !ok {
		return
	}
	r.answers++
	r.returned += max(1, len(answer.GetTimeSeries()))
	for _, status := range answer.GetExecutionErrors() {
		r.unable = append(r.unable, status.GetMessage())
	}
}

// fetcher asks for the series of one metric type after the other.
type fetcher struct {
	client  *monitoringv3.MetricClient
	project string
	regions []string
	cfg     Config
}

// answer is what came of asking for a type.
type answer struct {
	series []*native
	// returned is what is charged.
	returned int
	// some says that a part of the answer came.
	some bool
	// whole says that nothing is missing.
	whole bool
	err   error
}

// fetch reads all series of a type in a window. What was read before an error is in the answer.
func (f *fetcher) fetch(ctx context.Context, d descriptor, mapped bool, w cloud.Window) (a answer) {
	ctx, noted := withReading(ctx, f.cfg.MaxPages)
	all := f.client.ListTimeSeries(ctx, &monitoringpb.ListTimeSeriesRequest{
		Name: "projects/" + f.project, Filter: f.filter(d.native, mapped), View: monitoringpb.ListTimeSeriesRequest_FULL, PageSize: int32(f.cfg.PagePoints),
		Interval: &monitoringpb.TimeInterval{StartTime: timestamppb.New(w.From), EndTime: timestamppb.New(w.To)},
	})
	m := merger{value: d.value, from: w.From, to: w.To.Add(time.Minute)}
	for {
		series, err := all.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			a.err = err
			break
		}
		m.add(series)
	}
	a.series, a.returned, a.some = m.all(), noted.returned, noted.answers > 0
	if len(noted.unable) > 0 && a.err == nil {
		a.err = fmt.Errorf("ListTimeSeries of project %s: the answer for %s is not whole (%s); it is read again at the next collection", f.project, d.native, strings.Join(noted.unable, "; "))
	}
	a.whole = a.err == nil
	return a
}

// filter names one metric type, as the API wants it: a call for each is the least that can be.
func (f *fetcher) filter(native string, mapped bool) string {
	parts := []string{fmt.Sprintf("metric.type = %q", native)}
	if mapped {
		parts = append(parts, `resource.type = "gce_instance"`)
	}
	parts = append(parts, fmt.Sprintf("resource.labels.project_id = %q", f.project))
	var zones []string
	for _, region := range f.regions {
		zones = append(zones, fmt.Sprintf("resource.labels.zone = starts_with(%q)", region+"-"))
	}
	if len(zones) > 0 {
		parts = append(parts, "("+strings.Join(zones, " OR ")+")")
	}
	return strings.Join(parts, " AND ")
}
