package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
)

// Bounds of what a shard does for others.
const (
	// maxRelayed is how many shards one call may be about.
	maxRelayed = 256
	// maxRelaying is how many such calls are answered at one time. Who comes on top asks directly.
	maxRelaying = 16
	// maxBeside is how many shards are asked at one time, for all such calls, and relayedMax how large a message of theirs may
	// be: together they bound what is held, 64 MiB. A larger one is asked for directly.
	maxBeside  = 128
	relayedMax = 512 << 10
	// maxFailed bounds the text of an error.
	maxFailed = 512
	// passEvery is how often what has come is passed on while there is more to come, and aliveEvery how often it is said that
	// the relay waits.
	passEvery  = 50 * time.Millisecond
	aliveEvery = 500 * time.Millisecond
)

// Relay asks other shards what controllers ask them.
type Relay struct {
	// HTTP calls the shards of other agents.
	http   connect.HTTPClient
	keys   *keys
	calls  chan struct{}
	beside chan struct{}
}

// NewRelay calls other agents, and draws the keys that sealed answers need.
func NewRelay(caller connect.HTTPClient) *Relay {
	return &Relay{http: caller, keys: newKeys(time.Now), calls: make(chan struct{}, maxRelaying), beside: make(chan struct{}, maxBeside)}
}

// errNoRelay is that this shard has no part in it.
var errNoRelay = connect.NewError(connect.CodeUnimplemented, errors.New("this shard is asked directly"))

// EvaluateSealed computes, and streams the sealed rows.
func (s Server) EvaluateSealed(ctx context.Context, r *connect.Request[agentv1.EvaluateSealedRequest], stream *connect.ServerStream[agentv1.EvaluateSealedResponse]) error {
	return s.evaluateSealed(ctx, r.Msg, stream.Send)
}

// evaluateSealed answers who has a proof that a controller asks.
func (s Server) evaluateSealed(ctx context.Context, m *agentv1.EvaluateSealedRequest, send func(*agentv1.EvaluateSealedResponse) error) error {
	if s.Relaying == nil {
		return errNoRelay
	}
	seal, err := s.Relaying.keys.admit(m.GetKey(), m.GetQuestion(), m.GetAsked(), m.GetProof())
	if err != nil {
		return connect.NewError(connect.CodePermissionDenied, err)
	}
	give := func(piece []byte, err error) error {
		if err != nil {
			return err
		}
		return send(&agentv1.EvaluateSealedResponse{Sealed: piece})
	}
	question := &agentv1.EvaluateRequest{}
	if err = proto.Unmarshal(m.GetQuestion(), question); err != nil {
		err = connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("the question: %w", err))
	} else {
		err = s.evaluate(ctx, question, func(m *agentv1.EvaluateResponse) error { return give(seal.message(m)) })
	}
	return give(seal.last(err))
}

// Relay asks the shards, and streams what they answer.
func (s Server) Relay(ctx context.Context, r *connect.Request[agentv1.RelayRequest], stream *connect.ServerStream[agentv1.RelayResponse]) error {
	var mu sync.Mutex
	return s.relay(ctx, r.Msg, func(m *agentv1.RelayResponse) error {
		mu.Lock()
		defer mu.Unlock()
		return stream.Send(m)
	})
}

// relay asks all shards at one time. It passes on what comes, from several goroutines.
func (s Server) relay(ctx context.Context, m *agentv1.RelayRequest, send func(*agentv1.RelayResponse) error) error {
	switch n := len(m.GetShards()); {
	case s.Relaying == nil:
		return errNoRelay
	case n > maxRelayed:
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d shards in one call, at most %d", n, maxRelayed))
	}
	select {
	case s.Relaying.calls <- struct{}{}:
		defer func() { <-s.Relaying.calls }()
	default:
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%d questions to other shards are under way: ask them directly", maxRelaying))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	for i, of := range m.GetShards() {
		all.Go(func() {
			pass := func(piece *agentv1.EvaluateSealedResponse) error {
				return send(&agentv1.RelayResponse{Shard: uint32(i), Sealed: piece.GetSealed()})
			}
			question := &agentv1.EvaluateSealedRequest{Question: m.GetQuestion(), Asked: m.GetAsked(), Key: of.GetKey(), Proof: of.GetProof()}
			if err := guarded(func() error { return s.pass(ctx, of.GetAddress(), question, pass) }); err != nil {
				if err := send(&agentv1.RelayResponse{Shard: uint32(i), Failed: clipped(err)}); err != nil {
					cancel() // nobody listens
				}
			}
		})
	}
	all.Wait()
	return nil
}

// guarded makes an error of a panic, which would end the process: nobody else catches those of relay's goroutines. Asked
// directly, the shard has its server tell where it was.
func guarded(do func() error) (err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("its answer cannot be computed: %v", why)
		}
	}()
	return do()
}

// clipped is the text of an error, cut where it is long: what is sent is whole letters.
func clipped(err error) string {
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), maxFailed)], "")
}

// pass asks one shard, or this one, and passes its answer on.
func (s Server) pass(ctx context.Context, address string, m *agentv1.EvaluateSealedRequest, send func(*agentv1.EvaluateSealedResponse) error) error {
	if address == "" {
		return s.evaluateSealed(ctx, m, send)
	}
	select {
	case s.Relaying.beside <- struct{}{}:
		defer func() { <-s.Relaying.beside }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	stream, err := open(ctx, s.Relaying.http, &url.URL{Scheme: "https", Host: address, Path: agentv1connect.ShardServiceEvaluateSealedProcedure}, m)
	if err != nil {
		return err
	}
	defer stream.close()
	stream.most = relayedMax
	for piece := (&agentv1.EvaluateSealedResponse{}); ; piece.Reset() {
		if more, err := stream.next(piece); err != nil || !more {
			return err
		}
		if err := send(piece); err != nil {
			return err
		}
	}
}

// serveRelay answers a call to relay: what comes is gathered, and passed on now and then.
func (s Server) serveRelay(w http.ResponseWriter, r *http.Request) {
	buffer, _ := buffers.Get().(*buffer)
	defer buffer.release()
	question := &agentv1.RelayRequest{}
	err := questionFrom(r, buffer, question)
	w.Header()["Content-Type"] = []string{streamType}
	p := &passing{w: w, passed: time.Now()}
	if err == nil {
		ctx, cancel := withTimeout(r)
		defer cancel()
		over := p.tick()
		err = s.relay(ctx, question, p.send)
		over()
	}
	p.end(err)
}

// passing is an answer to a call to relay.
type passing struct {
	w http.ResponseWriter

	mu     sync.Mutex
	out    []byte
	passed time.Time // the last time
}

// send takes a message.
func (p *passing) send(m *agentv1.RelayResponse) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out, err = appendEnvelope(p.out, 0, m); err != nil || len(p.out) < sendFrom {
		return err
	}
	return p.write()
}

// write passes on what there is. The lock is held.
func (p *passing) write() error {
	_, err := p.w.Write(p.out)
	p.out = p.out[:0]
	return err
}

// tick passes on now and then what is too little to be sent at once, until over is called.
func (p *passing) tick() (over func()) {
	ended, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(passEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.flush()
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
	}
}

func (p *passing) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) == 0 {
		if time.Since(p.passed) < aliveEvery {
			return
		}
		p.out, _ = appendEnvelope(p.out, 0, &agentv1.RelayResponse{}) // an empty message can be packed
	}
	p.passed = time.Now()
	if p.write() == nil {
		_ = http.NewResponseController(p.w).Flush() // who has left hears nothing
	}
}

func (p *passing) end(failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.out, err = appendLast(p.out, failed); err == nil {
		_ = p.write() // who has left hears nothing
	}
}
