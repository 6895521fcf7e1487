package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"
)

// sender sends what a queue holds to one target, in rounds: what is due is read, dealt to shards by series, and sent by
// all shards at one time; when each of them is done the round is acknowledged, and the next one read. So what a crash
// sends again is one round at most, and samples of a series never overtake each other.
type sender struct {
	target   Target
	client   *http.Client
	limits   Limits
	queue    *queue
	describe func(metric string) Description
	logger   *slog.Logger
	told     *telling
	reading  *reading
	now      func() time.Time
	// closing is closed when no more is coming: what is there is sent at once.
	closing <-chan struct{}
	coders  sync.Pool
	shards  int

	mu sync.Mutex
	// quiet is until when the remote wants no request.
	quiet time.Time
	// plain is until when 1.0 is spoken, since the remote did not take 2.0.
	plain time.Time
}

// plainFor is how long 1.0 is spoken before 2.0 is tried again: remotes are upgraded.
const plainFor = time.Hour

// round is what is sent before the queue moves on.
type round struct {
	items []item
	counts
	bytes int
	// written and newest are when the oldest and the newest of it were stored, in milliseconds.
	written, newest int64
	end             position
	// more is set when it was full before the queue was empty.
	more bool
}

func newSender(target Target, q *queue, s *Set, told *telling, closing <-chan struct{}) *sender {
	client := &http.Client{Transport: target.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &sender{
		target: target, client: client, limits: s.options.Limits, queue: q, describe: s.options.Describe, logger: s.options.Logger.With("forward", target.Name),
		told: told, reading: newReading(q, labels.FromMap(target.External)), now: s.options.Clock, closing: closing,
		coders: sync.Pool{New: func() any { return new(coder) }}, shards: 1,
	}
}

// run sends until the context ends, or until all is sent after closing.
func (s *sender) run(ctx context.Context) {
	defer s.reading.close()
	s.queue.count(ctx)
	s.queue.rewind()
	for ctx.Err() == nil {
		r, err := s.gather(ctx)
		switch {
		case err != nil:
			s.told.failed(fmt.Errorf("the queue cannot be read: %w", err), s.now())
			s.rest(ctx, s.limits.MaxPause)
			continue
		case r == nil:
			return
		}
		if !s.deliver(ctx, r) {
			return
		}
		if err := s.queue.commit(r.end); err != nil {
			s.told.failed(err, s.now())
		}
		s.told.settle()
	}
}

// gather reads a round: all that is due, as much as all shards can send at one time. It is nil at the end.
func (s *sender) gather(ctx context.Context) (*round, error) {
	r := &round{}
	for {
		got, end, ok, err := s.reading.next()
		if err != nil && len(r.items) == 0 {
			return nil, err
		}
		if err != nil {
			return r, nil //nolint:nilerr // it comes again when what is read is sent
		}
		if ok {
			s.take(r, got, end)
			if len(r.items) >= s.shards*s.limits.Samples || r.bytes >= s.shards*s.limits.Bytes {
				r.more = true
				return r, nil
			}
			continue
		}
		if len(r.items) > 0 && s.due(r) <= 0 || len(r.items) == 0 && r.end != (position{}) {
			return r, nil
		}
		if goOn := s.await(ctx, r); !goOn {
			if len(r.items) == 0 || ctx.Err() != nil {
				return nil, nil
			}
			return r, nil
		}
	}
}

// due is how long a round may still wait to be full. One from the future is due: the clock was set back, and nobody knows
// for how long it has been waiting.
func (s *sender) due(r *round) time.Duration {
	age := s.now().Sub(time.UnixMilli(r.written))
	if age < 0 {
		return 0
	}
	return s.limits.Age - age
}

// await waits until there is more to read or a round is due; it is false when nothing more is to come.
func (s *sender) await(ctx context.Context, r *round) bool {
	var due <-chan time.Time
	if len(r.items) > 0 {
		timer := time.NewTimer(s.due(r))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.queue.more:
	case <-due:
	case <-s.closing:
		select {
		case <-s.queue.more: // the last that came
		default:
			return false
		}
	}
	return true
}

// take copies a record into a round.
func (s *sender) take(r *round, got *record, end position) {
	r.end = end
	if s.tooOld(got.written) {
		s.drop(counts{floats: int64(len(got.samples)), histograms: int64(len(got.histograms))})
		return
	}
	if len(r.items) == 0 {
		r.written = got.written
	}
	r.newest = got.written
	add := func(id uint32, one item, count *int64) {
		if one.series = s.reading.known[id]; one.series != nil { // one that is not defined fell to damage
			r.items = append(r.items, one)
			r.bytes += one.bytes() + int(one.series.lset.ByteSize())
			*count++
		}
	}
	for _, one := range got.samples {
		add(one.id, item{t: one.t, st: one.st, v: one.v}, &r.floats)
	}
	for _, one := range got.histograms {
		add(one.id, item{t: one.t, st: one.st, message: bytes.Clone(one.message)}, &r.histograms)
	}
	for _, one := range got.exemplars {
		add(one.id, item{t: one.t, v: one.v, example: one.lset, isExemplar: true}, &r.exemplars)
	}
	s.told.holds(r.written)
}

// deliver sends a round; it is false when it was stopped before all of it was delivered or given up.
func (s *sender) deliver(ctx context.Context, r *round) bool {
	s.told.sending(s.shards)
	trouble := s.told.troubles()
	results := make([]bool, s.shards)
	var shards sync.WaitGroup
	for i, items := range spread(r.items, s.shards) {
		shards.Go(func() { results[i] = s.sendAll(ctx, items, r.newest) })
	}
	shards.Wait()
	if slices.Contains(results, false) {
		return false
	}
	s.shards = nextShards(s.shards, s.limits.Shards, len(r.items), s.limits.Samples, r.more, s.told.troubles() > trouble)
	return true
}

// nextShards is how many requests the next round is sent by: twice as many while more was waiting than a round could
// take, half as many after trouble, and one less while the round was less than half full.
func nextShards(now, most, items, samples int, more, trouble bool) int {
	switch {
	case trouble:
		return max(1, now/2)
	case more:
		return min(most, 2*now)
	case items < now*samples/2:
		return max(1, now-1)
	}
	return now
}

// sendAll sends the items of one shard in their order.
func (s *sender) sendAll(ctx context.Context, items []item, newest int64) bool {
	for _, b := range batches(items, s.limits.Samples, s.limits.Bytes) {
		if !s.send(ctx, b, newest) {
			return false
		}
	}
	return true
}

// send sends a request until it is delivered or given up, as it is once the newest of it is too old; it is false when it
// was stopped before.
func (s *sender) send(ctx context.Context, b batch, newest int64) bool {
	pause := s.limits.MinPause
	for {
		if s.tooOld(newest) {
			s.drop(b.counts)
			return true
		}
		if !s.restUntil(ctx, s.quietUntil()) {
			return false
		}
		version := s.version()
		a := s.post(ctx, b, version)
		if ctx.Err() != nil && a.verdict != delivered && a.verdict != refused {
			return false
		}
		switch a.verdict {
		case delivered:
			s.told.delivered(b.counts, version, s.now())
			return true
		case refused:
			s.told.refused(b.counts, a, s.now())
			return true
		case older:
			s.speakPlain(a.err)
			continue
		}
		s.told.retried(a.err, s.now())
		if a.after > 0 {
			s.beQuiet(a.after)
			continue
		}
		if !s.rest(ctx, pause/2+rand.N(pause)) {
			return false
		}
		pause = min(2*pause, s.limits.MaxPause)
	}
}

func (s *sender) tooOld(written int64) bool {
	return s.target.QueueAge > 0 && s.now().Sub(time.UnixMilli(written)) > s.target.QueueAge
}

// drop gives up samples that have waited for too long.
func (s *sender) drop(c counts) {
	s.told.dropped(reasonTooOld, c, fmt.Errorf("samples have waited for longer than %s, and are not sent", s.target.QueueAge), s.now())
}

// post sends one request.
func (s *sender) post(ctx context.Context, b batch, version int) answer {
	if s.target.Problem != "" {
		return answer{verdict: again, err: errors.New(s.target.Problem)}
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.Timeout)
	defer cancel()
	body := s.encode(b, version)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.target.URL, bytes.NewReader(body))
	if err != nil {
		return answer{verdict: again, err: withoutURL(err)}
	}
	s.sign(request, version)
	if s.target.Authorise != nil {
		if err := s.target.Authorise(request); err != nil {
			return answer{verdict: again, err: err}
		}
	}
	s.told.posted(len(body))
	response, err := s.client.Do(request)
	if err != nil {
		return answer{verdict: again, err: fmt.Errorf("the remote cannot be reached: %w", withoutURL(err))}
	}
	defer response.Body.Close()
	a := judge(response, version, s.now())
	_, _ = io.CopyN(io.Discard, response.Body, 4096) // so that the connection serves again
	return a
}

func (s *sender) sign(request *http.Request, version int) {
	for name, value := range s.target.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("User-Agent", "novacron")
	request.Header.Set("Content-Encoding", "snappy")
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	if version == 2 {
		request.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		request.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	}
}

func (s *sender) encode(b batch, version int) []byte {
	c := s.coders.Get().(*coder)
	defer s.coders.Put(c)
	if version == 2 {
		return s2.EncodeSnappy(nil, c.version2(b, s.describe))
	}
	return s2.EncodeSnappy(nil, c.version1(b))
}

// version is that of remote write to speak now.
func (s *sender) version() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target.Protocol == 2 && !s.now().Before(s.plain) {
		return 2
	}
	return 1
}

func (s *sender) speakPlain(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = s.now().Add(plainFor)
	s.logger.Info("the remote does not take remote write 2.0: 1.0 is sent, without starts and types", "error", why)
}

func (s *sender) beQuiet(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.now().Add(d); until.After(s.quiet) {
		s.quiet = until
	}
}

func (s *sender) quietUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quiet
}

func (s *sender) restUntil(ctx context.Context, until time.Time) bool {
	if d := until.Sub(s.now()); d > 0 {
		return s.rest(ctx, d)
	}
	return ctx.Err() == nil
}

// rest waits; it is false when the context ended.
func (s *sender) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
