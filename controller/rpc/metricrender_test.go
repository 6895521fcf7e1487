package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/novacron/novacron/proto/novacron/v1/novacronv1connect"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/query"
)

// noShards is a cluster without hosts: constants are answered all the same.
type noShards struct{}

func (noShards) Members() []federate.Member { return nil }

func renderClient(t *testing.T) novacronv1connect.MetricServiceClient {
	t.Helper()
	engine, err := query.New(query.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	s := server(t, &log{})
	s.Now = time.Now
	s.Metrics = Metrics{Questions: federate.Questions{Engine: federate.NewEngine(engine, 5*time.Minute), Fleet: federate.NewFleet(noShards{}, federate.Options{})}}
	_, handler := novacronv1connect.NewMetricServiceHandler(&metricService{s})
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	return novacronv1connect.NewMetricServiceClient(listener.Client(), listener.URL)
}

// render gives the messages of an answer.
func render(ctx context.Context, c novacronv1connect.MetricServiceClient, r *novacronv1.RenderMetricsRequest) ([]*novacronv1.RenderMetricsResponse, error) {
	stream, err := c.RenderMetrics(ctx, connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var all []*novacronv1.RenderMetricsResponse
	for stream.Receive() {
		all = append(all, stream.Msg())
	}
	return all, stream.Err()
}

func TestRenderMetrics(t *testing.T) {
	c := renderClient(t)
	start := time.Unix(1_769_860_800, 0)
	question := &novacronv1.QueryMetricsRequest{Query: "vector(time())", Start: timestamppb.New(start), End: timestamppb.New(start.Add(10_000 * time.Second)), Step: durationpb.New(time.Second)}

	all, err := render(t.Context(), c, &novacronv1.RenderMetricsRequest{Question: question, Format: "csv"})
	require.NoError(t, err)
	require.Greater(t, len(all), 3, "an answer of several messages")
	text := ""
	for i, message := range all {
		text += string(message.GetData())
		require.Equal(t, i == 0, message.GetContentType() == "text/csv; charset=utf-8")
		require.Equal(t, i == len(all)-1, message.GetSummary() != nil)
	}
	require.Equal(t, 10_002, strings.Count(text, "\n"))
	require.True(t, strings.HasPrefix(text, "time,value\n2026-01-31T12:00:00Z,1.7698608e+09\n"), text[:80])

	all, err = render(t.Context(), c, &novacronv1.RenderMetricsRequest{Question: question, Format: "uplot", MaxPoints: 4})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Regexp(t, `"data":\[\[1769860800000,\d+,\d+,1769870800000\]`, string(all[0].GetData()))

	for want, r := range map[string]*novacronv1.RenderMetricsRequest{
		"format: \"\" is none: use prometheus, uplot": {Question: question},
		"uplot has no view gauge":                     {Question: question, Format: "uplot", View: "gauge"},
		"max_points: 1":                               {Question: question, Format: "uplot", MaxPoints: 1},
		"the answer has no histograms":                {Question: question, Format: "uplot", View: "heatmap"},
		"unclosed left parenthesis":                   {Question: &novacronv1.QueryMetricsRequest{Query: "sum("}, Format: "uplot"},
	} {
		_, err := render(t.Context(), c, r)
		require.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, want)
	}
}

func TestWhatFailedIsToldApart(t *testing.T) {
	crash := func() (err error) {
		defer func() {
			err = fmt.Errorf("unexpected error: %w", recover().(error))
		}()
		var none []int
		_ = none[len(t.Name())]
		return nil
	}
	for code, err := range map[connect.Code]error{
		connect.CodeInternal:          crash(),
		connect.CodeInvalidArgument:   errors.New("1:1: parse error"),
		connect.CodeResourceExhausted: fmt.Errorf("host h: %w", &query.LimitError{}),
		connect.CodeUnavailable:       &federate.MissingError{Hosts: []string{"h"}, First: errors.New("down")},
	} {
		require.Equal(t, code, connect.CodeOf(queryFailed(t.Context(), err)), err)
	}
}
