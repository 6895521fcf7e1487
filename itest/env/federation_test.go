package env_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/itest/env"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// The samples of the queues: each has one in each minute.
const queues, minutes = 400, 4

// length is that of a queue in a minute; no two are the same in one.
func length(queue, minute int) float64 { return float64(queue*37%queues + 1000*minute) }

// lengths are those of all queues in a minute, in order of size.
func lengths(minute int) (all []float64) {
	for queue := range queues {
		all = append(all, length(queue, minute))
	}
	slices.Sort(all)
	return all
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// values are the points of an answer by the queue that its series name.
type values map[string][]float64

// expected is what is true of the queues, by question. A range is of all minutes, anything else of the last.
var expected = []struct {
	expr  string
	steps int
	want  func() values
}{
	{`sum(queue_length)`, 1, func() values { return values{"": {sum(lengths(minutes - 1))}} }},
	{`sum(queue_length)`, minutes, func() values {
		all := values{}
		for minute := range minutes {
			all[""] = append(all[""], sum(lengths(minute)))
		}
		return all
	}},
	{`avg(queue_length)`, 1, func() values { return values{"": {sum(lengths(minutes-1)) / queues}} }},
	{`count(queue_length)`, 1, func() values { return values{"": {queues}} }},
	{`min(queue_length)`, 1, func() values { return values{"": {lengths(minutes - 1)[0]}} }},
	{`max(max_over_time(queue_length[10m]))`, 1, func() values { return values{"": {lengths(minutes - 1)[queues-1]}} }},
	{`quantile(0.5, queue_length)`, 1, func() values {
		all := lengths(minutes - 1)
		return values{"": {(all[queues/2-1] + all[queues/2]) / 2}}
	}},
	{`topk(2, queue_length)`, 1, func() values {
		top := values{}
		for queue := range queues {
			if v := length(queue, minutes-1); v >= lengths(minutes - 1)[queues-2] {
				top[fmt.Sprint("q", queue)] = []float64{v}
			}
		}
		return top
	}},
	{`queue_length{queue="q7"}`, minutes, func() values {
		return values{"q7": {length(7, 0), length(7, 1), length(7, 2), length(7, 3)}}
	}},
	{`count(count by (queue) (sum_over_time(queue_length[10m])))`, 1, func() values { return values{"": {queues}} }},
	{`stddev(queue_length) > bool 0`, 1, func() values { return values{"": {1}} }},
}

// TestEightHostsAnswerAsOne stores samples on eight hosts and asks each of three controllers for them, by the API of the
// cluster and by that of Prometheus.
func TestEightHostsAnswerAsOne(t *testing.T) {
	t.Parallel()
	c := env.New(t, env.Options{Controllers: 3, Agents: 8})
	define(t, admin(t, c, ""))
	end := time.Now().Truncate(time.Second).Add(-time.Second)
	kept := pushQueues(t, admin(t, c, ""), end)
	require.Len(t, kept, 8, "each host keeps some")
	for _, controller := range c.Members(pki.RoleController) {
		client := admin(t, c, controller.Name)
		awaitQueues(t, client, end)
		for _, e := range expected {
			want := e.want()
			assert.Equal(t, want, byRPC(t, client, e.expr, e.steps, end), "%s of %s", e.expr, controller.Name)
			assert.Equal(t, want, byHTTP(t, client, e.expr, e.steps, end), "%s of %s over HTTP", e.expr, controller.Name)
		}
	}
}

// pushQueues has the cluster keep the samples, and returns the hosts that do.
func pushQueues(t *testing.T, client *env.Client, end time.Time) (hosts []string) {
	t.Helper()
	var samples []*novacronv1.MetricSample
	for queue := range queues {
		for minute := range minutes {
			samples = append(samples, &novacronv1.MetricSample{
				Name: "queue_length", Labels: map[string]string{"queue": fmt.Sprint("q", queue)}, Value: length(queue, minute),
				Time: timestamppb.New(end.Add(time.Duration(minute-minutes+1) * time.Minute)),
			})
		}
	}
	waitFor(t, "the hosts to take all samples", func(ctx context.Context) error {
		answer, err := client.Metrics.PushMetrics(ctx, connect.NewRequest(&novacronv1.PushMetricsRequest{Samples: samples}))
		if err != nil {
			return err
		}
		if answer.Msg.GetRefusedCount() > 0 {
			return errors.New(answer.Msg.GetRefused()[0].GetMessage())
		}
		hosts = answer.Msg.GetHosts()
		return nil
	})
	return hosts
}

// awaitQueues waits until a controller has heard from all hosts which series they have.
func awaitQueues(t *testing.T, client *env.Client, end time.Time) {
	t.Helper()
	waitFor(t, "all queues to be found", func(ctx context.Context) error {
		got, err := query(ctx, client, &novacronv1.QueryMetricsRequest{Query: `count(queue_length)`, Time: timestamppb.New(end), Complete: true})
		if err != nil {
			return err
		}
		if got.values[""] != queues {
			return fmt.Errorf("%v of %d", got.values, queues)
		}
		return nil
	})
}

// byRPC asks by the API of the cluster.
func byRPC(t *testing.T, client *env.Client, expr string, steps int, end time.Time) values {
	t.Helper()
	request := &novacronv1.QueryMetricsRequest{Query: expr, Complete: true}
	if steps == 1 {
		request.Time = timestamppb.New(end)
	} else {
		request.Start, request.End, request.Step = timestamppb.New(end.Add(-time.Duration(steps-1)*time.Minute)), timestamppb.New(end), durationpb.New(time.Minute)
	}
	stream, err := client.Metrics.QueryMetrics(t.Context(), connect.NewRequest(request))
	require.NoError(t, err)
	defer stream.Close()
	got := values{}
	for stream.Receive() {
		for _, s := range stream.Msg().GetSeries() {
			got[s.GetLabels()["queue"]] = s.GetValues()
		}
		require.Empty(t, stream.Msg().GetSummary().GetWarnings())
	}
	require.NoError(t, stream.Err())
	return got
}

// byHTTP asks by that of Prometheus.
func byHTTP(t *testing.T, client *env.Client, expr string, steps int, end time.Time) values {
	t.Helper()
	path, form := "query", url.Values{"query": {expr}, "partial_response": {"0"}, "time": {fmt.Sprint(end.Unix())}}
	if steps > 1 {
		path = "query_range"
		form = url.Values{
			"query": {expr}, "partial_response": {"0"}, "step": {"60"}, "end": {fmt.Sprint(end.Unix())},
			"start": {fmt.Sprint(end.Add(-time.Duration(steps-1) * time.Minute).Unix())},
		}
	}
	answer, err := client.Query(t.Context(), client.Address, path, form)
	require.NoError(t, err)
	require.Empty(t, answer.Warnings)
	got := values{}
	for _, s := range answer.Series {
		got[s.Labels["queue"]] = s.Values
	}
	return got
}
