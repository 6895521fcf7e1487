package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/itest/fault"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
)

const (
	// reportTimeout bounds one report; an election may be going on. After one report that failed there is time for another,
	// elsewhere, before the host counts as silent.
	reportTimeout = 7 * time.Second
	// silence is how long a watch stream may say nothing: two heartbeats and a bit.
	silence = 12 * time.Second
	// reconnectMin and reconnectMax space the attempts to reach a controller.
	reconnectMin = 200 * time.Millisecond
	reconnectMax = 10 * time.Second
	// settleTime gathers what happens at once into one report.
	settleTime = 20 * time.Millisecond
	// reportEvery is how often to report until a controller says how often.
	reportEvery = 5 * time.Second
)

// linkConfig is what a link needs to work.
type linkConfig struct {
	// Controllers are API addresses that are known at the start; the cluster tells the present ones.
	Controllers []string
	TLS         *tls.Config
	Logger      *slog.Logger
	Report      func(ctx context.Context) (*agentv1.ReportRequest, error)
	// Reported is told of each report that was answered, of the answer, and of when the report was made.
	Reported func(report *agentv1.ReportRequest, answer *agentv1.ReportResponse, asked time.Time)
	Desired  func(revision uint64, set *agentv1.DesiredSet)
	// Faults are fail points for tests; nil means none.
	Faults *fault.Registry
	// Learned is told when the cluster's controllers differ from what was known.
	Learned func(controllers []string)
}

// pointLink is passed before a report is sent and before anything of the watch is taken in: where it fails, the host is cut
// off from the cluster and works on.
const pointLink = "agent.link"

// link keeps the agent in touch with one controller, any one, and moves to another when that one is lost or useless.
type link struct {
	linkConfig
	http *http.Client
	soon chan struct{}

	mu          sync.Mutex
	sources     []string
	controllers []string
}

func newLink(cfg linkConfig) *link {
	return &link{linkConfig: cfg, http: node.HTTPClient(cfg.TLS), soon: make(chan struct{}, 1), sources: cfg.Controllers, controllers: cfg.Controllers}
}

// reportSoon asks for a report without delay.
func (l *link) reportSoon() {
	select {
	case l.soon <- struct{}{}:
	default: // one is due already
	}
}

// blobSources are the members to fetch images from, controllers first.
func (l *link) blobSources() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sources)
}

// known are the controllers to turn to.
func (l *link) known() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.controllers)
}

// run connects, and connects again, until the context ends.
func (l *link) run(ctx context.Context) error {
	defer l.http.CloseIdleConnections()
	pause := reconnectMin
	for turn := rand.IntN(len(l.known())); ctx.Err() == nil; turn++ {
		controllers := l.known()
		address := controllers[turn%len(controllers)]
		began := time.Now()
		err := l.session(ctx, address)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > reconnectMax {
			pause = reconnectMin
		}
		l.Logger.Warn("the controller was lost; the next one is tried", "controller", address, "error", err)
		l.http.CloseIdleConnections()
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, reconnectMax)
	}
	return ctx.Err()
}

// session works with one controller until something fails.
func (l *link) session(ctx context.Context, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := agentv1connect.NewDesiredServiceClient(l.http, node.URL(address), connect.WithReadMaxBytes(node.MaxMessageBytes))
	var parts sync.WaitGroup
	parts.Go(func() { cancel(l.watch(ctx, client, address)) })
	parts.Go(func() { cancel(l.reports(ctx, client)) })
	parts.Wait()
	return context.Cause(ctx)
}

// watch takes desired sets from the stream. A stream that falls silent is given up.
func (l *link) watch(ctx context.Context, client agentv1connect.DesiredServiceClient, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the controller said nothing for %s", silence)) })
	defer alarm.Stop()
	stream, err := client.Watch(ctx, connect.NewRequest(&agentv1.WatchRequest{}))
	if err != nil {
		return err
	}
	defer stream.Close()
	for first := true; stream.Receive(); first = false {
		alarm.Reset(silence)
		if err := l.Faults.Point(ctx, pointLink); err != nil {
			return err
		}
		if first {
			l.Logger.Info("connected to a controller", "controller", address)
		}
		if set := stream.Msg().GetDesired(); set != nil {
			l.learn(set)
			l.Desired(stream.Msg().GetRevision(), set)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the watch ended: %w", stream.Err())
}

func (l *link) learn(set *agentv1.DesiredSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources = set.GetBlobSources()
	if len(set.GetControllers()) > 0 && !slices.Equal(l.controllers, set.GetControllers()) {
		l.controllers = set.GetControllers()
		l.Learned(l.controllers)
	}
}

// reports sends a report at every change, and often enough to stay alive for the cluster. A controller that cannot take
// one is useless: it may be cut off from the others while it answers.
func (l *link) reports(ctx context.Context, client agentv1connect.DesiredServiceClient) error {
	interval := reportEvery
	for {
		next, err := l.send(ctx, client)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errUnobserved):
			l.Logger.Warn("nothing to report", "error", err)
		case err != nil:
			return fmt.Errorf("a report failed: %w", err)
		default:
			interval = next
		}
		if err := l.rest(ctx, interval); err != nil {
			return err
		}
	}
}

// errUnobserved is a host that cannot be looked at, which no other controller changes.
var errUnobserved = errors.New("the host cannot be observed")

func (l *link) send(ctx context.Context, client agentv1connect.DesiredServiceClient) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if err := l.Faults.Point(ctx, pointLink); err != nil {
		return 0, err
	}
	asked := time.Now()
	report, err := l.Report(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errUnobserved, err)
	}
	answer, err := client.Report(ctx, connect.NewRequest(report))
	if err != nil {
		return 0, err
	}
	l.Reported(report, answer.Msg, asked)
	return max(answer.Msg.GetInterval().AsDuration(), time.Second), nil
}

// rest waits until the next report is due: after the interval, or soon after a change.
func (l *link) rest(ctx context.Context, interval time.Duration) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	case <-l.soon:
	}
	timer.Reset(settleTime)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
