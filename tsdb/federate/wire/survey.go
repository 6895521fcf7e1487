package wire

import (
	"context"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/tsdb/federate"
	"github.com/novacron/novacron/tsdb/federate/explore"
	"github.com/novacron/novacron/tsdb/index"
)

var _ federate.Surveyor = Client{}

// errNoSurvey is a shard that does not tell what it has.
var errNoSurvey = connect.NewError(connect.CodeUnimplemented, federate.ErrNoSurvey)

// maxBy bounds what one question groups by.
const maxBy = 4

// Explore counts, and streams the groups.
func (s Server) Explore(ctx context.Context, r *connect.Request[agentv1.ExploreRequest], stream *connect.ServerStream[agentv1.ExploreResponse]) error {
	if s.Survey == nil {
		return errNoSurvey
	}
	m := r.Msg
	matchers, err := matchersFrom(m.GetMatchers())
	if err == nil && len(m.GetBy()) > maxBy {
		err = fmt.Errorf("%d ways to group by, at most %d", len(m.GetBy()), maxBy)
	}
	if err != nil {
		return connect.NewError(connect.CodeInvalidArgument, err)
	}
	report, err := s.Survey.Explore(ctx, explore.Question{
		Matchers: matchers, Now: explore.Span{Min: m.GetMin(), Max: m.GetMax()}, Before: explore.Span{Min: m.GetBeforeMin(), Max: m.GetBeforeMax()},
		By: m.GetBy(), Of: m.GetOf(), Drop: m.GetDrop(),
	})
	if err != nil {
		return toConnect(ctx, err)
	}
	return sendReport(report, stream.Send)
}

func sendReport(r explore.Report, send func(*agentv1.ExploreResponse) error) error {
	message, size := &agentv1.ExploreResponse{}, 0
	for i := range r.Groups {
		g := &r.Groups[i]
		message.Groups = append(message.Groups, &agentv1.ExploredGroup{By: g.By, Name: g.Name, Now: countsTo(g.Now), Before: countsTo(g.Before)})
		if size += len(g.Name) + countsBytes(g.Now) + countsBytes(g.Before); size < messageBytes {
			continue
		}
		if err := send(message); err != nil {
			return err
		}
		message, size = &agentv1.ExploreResponse{}, 0
	}
	message.Totals = &agentv1.ExploredTotals{
		Now: countsTo(explore.Counts{Series: r.Now}), Before: countsTo(explore.Counts{Series: r.Before}), Cut: r.Cut,
		Oldest: r.Oldest, Newest: r.Newest, Bytes: r.Bytes,
	}
	return send(message)
}

func countsBytes(c explore.Counts) (n int) {
	for _, d := range []explore.Distinct{c.Series, c.Values, c.Left} {
		n += 16 + 8*len(d.Hashes) + len(d.Sketch)
	}
	return n
}

func countsTo(c explore.Counts) *agentv1.ExploredSpan {
	return &agentv1.ExploredSpan{Series: distinctTo(c.Series), Values: distinctTo(c.Values), Left: distinctTo(c.Left)}
}

func distinctTo(d explore.Distinct) *agentv1.DistinctCount {
	if d.Own == 0 && len(d.Hashes) == 0 && d.Sketch == nil {
		return nil
	}
	return &agentv1.DistinctCount{Own: d.Own, Hashes: d.Hashes, Sketch: d.Sketch}
}

func countsFrom(m *agentv1.ExploredSpan) (c explore.Counts, err error) {
	for _, one := range []struct {
		into *explore.Distinct
		from *agentv1.DistinctCount
	}{{&c.Series, m.GetSeries()}, {&c.Values, m.GetValues()}, {&c.Left, m.GetLeft()}} {
		if n := len(one.from.GetSketch()); n != 0 && n != index.SketchBytes {
			return c, fmt.Errorf("a sketch of %d bytes, not %d", n, index.SketchBytes)
		}
		one.into.Own, one.into.Hashes = one.from.GetOwn(), one.from.GetHashes()
		if len(one.from.GetSketch()) > 0 {
			one.into.Sketch = one.from.GetSketch()
		}
	}
	return c, nil
}

// Describe lists what is known of metrics.
func (s Server) Describe(ctx context.Context, r *connect.Request[agentv1.DescribeRequest]) (*connect.Response[agentv1.DescribeResponse], error) {
	if s.Survey == nil {
		return nil, errNoSurvey
	}
	all, err := s.Survey.Describe(ctx, r.Msg.GetMetric())
	if err != nil {
		return nil, toConnect(ctx, err)
	}
	out := &agentv1.DescribeResponse{}
	for size, i := 0, 0; i < len(all) && size < messageMax/2; i++ { // what does not fit into a message is left out
		d := all[i]
		out.Metrics = append(out.Metrics, &agentv1.DescribedMetric{Name: d.Name, Type: d.Type, Unit: d.Unit, Help: d.Help})
		size += len(d.Name) + len(d.Type) + len(d.Unit) + len(d.Help) + 16
	}
	return connect.NewResponse(out), nil
}

const (
	// maxReportGroups bounds the groups that are taken of one shard.
	maxReportGroups = 50_000
	// groupBytes is what a group takes besides its name, hashes and sketches.
	groupBytes = 512
	// maxReportBytes bounds what one shard tells: its hashes and sketches, and names.
	maxReportBytes = explore.MaxReportBytes + 32<<20
)

// Explore has the shard count.
func (c Client) Explore(ctx context.Context, q explore.Question) (explore.Report, error) {
	stream, err := c.RPC.Explore(ctx, connect.NewRequest(&agentv1.ExploreRequest{
		Matchers: matchersTo(q.Matchers), Min: q.Now.Min, Max: q.Now.Max, BeforeMin: q.Before.Min, BeforeMax: q.Before.Max, By: q.By, Of: q.Of, Drop: q.Drop,
	}))
	if err != nil {
		return explore.Report{}, fromConnect(err)
	}
	defer stream.Close()
	report, whole, bytes := explore.Report{}, false, 0
	for stream.Receive() {
		size := proto.Size(stream.Msg()) // as hashes, sketches and names take in memory, but for what each of them takes besides
		if bytes += size; bytes > maxReportBytes {
			return explore.Report{}, fmt.Errorf("a shard tells more than %d bytes", maxReportBytes)
		}
		if err := federate.Hold(ctx, int64(size+groupBytes*len(stream.Msg().GetGroups()))); err != nil {
			return explore.Report{}, err
		}
		if whole, err = addReport(&report, stream.Msg()); err != nil {
			return explore.Report{}, err
		}
	}
	if err := stream.Err(); err != nil {
		return explore.Report{}, fromConnect(err)
	}
	if !whole {
		return explore.Report{}, fmt.Errorf("the shard's counts were cut off: %w", io.ErrUnexpectedEOF)
	}
	return report, nil
}

// addReport adds a message to a report, and tells whether it is the last.
func addReport(report *explore.Report, m *agentv1.ExploreResponse) (last bool, err error) {
	if len(report.Groups)+len(m.GetGroups()) > maxReportGroups {
		return false, fmt.Errorf("a shard tells more than %d groups", maxReportGroups)
	}
	for _, from := range m.GetGroups() {
		g := explore.Group{By: from.GetBy(), Name: from.GetName()}
		if g.Now, err = countsFrom(from.GetNow()); err != nil {
			return false, err
		}
		if g.Before, err = countsFrom(from.GetBefore()); err != nil {
			return false, err
		}
		report.Groups = append(report.Groups, g)
	}
	totals := m.GetTotals()
	if totals == nil {
		return false, nil
	}
	now, err := countsFrom(totals.GetNow())
	if err != nil {
		return false, err
	}
	before, err := countsFrom(totals.GetBefore())
	report.Now, report.Before, report.Cut, report.Bytes = now.Series, before.Series, totals.GetCut(), totals.GetBytes()
	report.Oldest, report.Newest = totals.GetOldest(), totals.GetNewest()
	return true, err
}

// Describe asks the shard what it knows of metrics.
func (c Client) Describe(ctx context.Context, metric string) ([]federate.Description, error) {
	answer, err := c.RPC.Describe(ctx, connect.NewRequest(&agentv1.DescribeRequest{Metric: metric}))
	if err != nil {
		return nil, fromConnect(err)
	}
	if err := federate.Hold(ctx, int64(proto.Size(answer.Msg))); err != nil {
		return nil, err
	}
	all := make([]federate.Description, 0, len(answer.Msg.GetMetrics()))
	for _, m := range answer.Msg.GetMetrics() {
		all = append(all, federate.Description{Name: m.GetName(), Type: m.GetType(), Unit: m.GetUnit(), Help: m.GetHelp()})
	}
	return all, nil
}
