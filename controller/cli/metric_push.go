package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	pb "github.com/novacron/novacron/proto/novacron/v1"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// pushBatch is how many samples go into one call.
const pushBatch = 1000

// pushFlags say what to push.
type pushFlags struct {
	labels pairs
	at     *instant
	file   string
	host   string
}

func (a *app) metricPush() *cobra.Command {
	f := &pushFlags{at: &instant{now: a.io.Now}}
	cmd := &cobra.Command{
		Use: "push [NAME VALUE]", Short: "Store samples of defined metrics", Args: cobra.MaximumNArgs(2),
		Long: `Store samples of metrics that are defined. Each series is kept by a host of its own, or all by --host. A file has a sample a
line, as JSON: {"name": "queue_length", "labels": {"queue": "in"}, "value": 3, "time": "2026-01-31T12:00:00Z"}. Samples
without a time have that of the push. Pushing a sample again changes nothing. A new series shows in queries within 15 s.

  novacron metric push queue_length 3 --label queue=in
  novacron metric push --file samples.jsonl`,
		ValidArgsFunction: a.completeOnce(a.definitionNames),
		RunE: a.withClient(func(ctx context.Context, c *client, args []string) error {
			samples, err := a.samplesOf(args, f)
			if err != nil {
				return err
			}
			return a.push(ctx, c, samples, f.host)
		}),
	}
	fs := cmd.Flags()
	fs.Var(&f.labels, "label", "label of the series (repeatable)")
	fs.Var(f.at, "time", "when it was measured (default now)")
	fs.StringVarP(&f.file, "file", "f", "", "`file` with samples; - is standard input")
	fs.StringVar(&f.host, "host", "", "`host` that keeps them (default one for each series)")
	a.completeFlag(cmd, "host", a.hostNames)
	return cmd
}

// samplesOf are those of the arguments or of the file, each with a time: a push that is tried again is the same then.
func (a *app) samplesOf(args []string, f *pushFlags) ([]*pb.MetricSample, error) {
	at := timestamppb.New(f.at.or(a.io.Now()))
	switch {
	case f.file != "" && (len(args) > 0 || len(f.labels) > 0):
		return nil, usagef("--file and a sample as arguments: give one of them")
	case f.file != "":
		return a.samplesIn(f.file, at)
	case len(args) != 2:
		return nil, usageError{errors.New("a name and a value are needed, or --file"), "such as `novacron metric push queue_length 3`"}
	}
	value, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return nil, usagef("%q is no number", args[1])
	}
	return []*pb.MetricSample{{Name: args[0], Value: value, Labels: f.labels, Time: at}}, nil
}

// samplesIn reads a file, or standard input.
func (a *app) samplesIn(path string, at *timestamppb.Timestamp) ([]*pb.MetricSample, error) {
	if path == "-" {
		return parseSamples("standard input", a.io.In, at)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseSamples(path, file, at)
}

// refusedText counts samples.
func refusedText(n uint32) string {
	if n == 1 {
		return "1 sample was refused"
	}
	return fmt.Sprintf("%d samples were refused", n)
}

// sampleFault says which field has the wrong kind of value, without Go's names for it.
func sampleFault(err error) error {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok || wrong.Field == "" {
		return err
	}
	takes := map[string]string{"value": "a number", "name": "a text", "labels": "texts by name, {\"queue\": \"in\"}", "time": "a time such as \"2026-01-31T12:00:00Z\""}
	field, _, _ := strings.Cut(wrong.Field, ".")
	return fmt.Errorf("%s is a JSON %s: give %s", wrong.Field, wrong.Value, takes[field])
}

// sampleLine is one line of a file.
type sampleLine struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Value  *float64          `json:"value"`
	Time   *time.Time        `json:"time"`
}

func parseSamples(path string, text io.Reader, at *timestamppb.Timestamp) (samples []*pb.MetricSample, err error) {
	decoder := json.NewDecoder(text)
	decoder.DisallowUnknownFields()
	for n := 1; ; n++ {
		line := sampleLine{}
		err := decoder.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return samples, nil
		case err != nil:
			return nil, fmt.Errorf("%s: sample %d: %w", path, n, sampleFault(err))
		case line.Name == "" || line.Value == nil:
			return nil, fmt.Errorf("%s: sample %d: a name and a value are needed", path, n)
		}
		sample := &pb.MetricSample{Name: line.Name, Labels: line.Labels, Value: *line.Value, Time: at}
		if line.Time != nil {
			sample.Time = timestamppb.New(*line.Time)
		}
		samples = append(samples, sample)
	}
}

// push stores samples, in parts, and tells what was refused.
func (a *app) push(ctx context.Context, c *client, samples []*pb.MetricSample, host string) error {
	total := &pb.PushMetricsResponse{}
	first := uint32(0)
	for part := range slices.Chunk(samples, pushBatch) {
		answer, err := c.metrics.PushMetrics(ctx, connect.NewRequest(&pb.PushMetricsRequest{Samples: part, Host: host}))
		if err != nil {
			return fmt.Errorf("%d of %d samples were stored before: %w", total.GetStored(), len(samples), err)
		}
		total.Stored += answer.Msg.GetStored()
		total.RefusedCount += answer.Msg.GetRefusedCount()
		total.Hosts = append(total.Hosts, answer.Msg.GetHosts()...)
		for _, one := range answer.Msg.GetRefused() {
			one.Index += first
			total.Refused = append(total.Refused, one)
		}
		first += uint32(len(part))
	}
	slices.Sort(total.Hosts)
	total.Hosts = slices.Compact(total.Hosts)
	return a.tellPushed(total)
}

// maxRefusedShown bounds how many refusals people have to read.
const maxRefusedShown = 10

func (a *app) tellPushed(total *pb.PushMetricsResponse) error {
	if total.GetStored() > 0 {
		a.tell("%d stored by %s", total.GetStored(), strings.Join(total.GetHosts(), ", "))
	}
	if a.output.value == outJSON || a.output.value == outYAML {
		if err := a.writeObject(total); err != nil {
			return err
		}
	}
	if total.GetRefusedCount() == 0 {
		return nil
	}
	refused := &fault{what: refusedText(total.GetRefusedCount()), hint: "`novacron metric define` lets a metric be stored"}
	for i, one := range total.GetRefused() {
		if i == maxRefusedShown {
			refused.details = append(refused.details, "…")
			break
		}
		refused.details = append(refused.details, fmt.Sprintf("sample %d: %s", one.GetIndex()+1, one.GetMessage()))
	}
	return refused
}
