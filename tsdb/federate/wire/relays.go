package wire

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	"github.com/novacron/novacron/proto/agent/v1/agentv1connect"
	"github.com/novacron/novacron/tsdb/federate"
)

const (
	// relayTerm is how long a shard is asked about the others of its group: they keep connections to it, which cost more to
	// make than many questions.
	relayTerm = 10 * time.Minute
	// badRelayRest is how long one that failed is not asked about others.
	badRelayRest = time.Minute
	// unrelayedRest is how long a shard is asked directly whose answer another could not pass on.
	unrelayedRest = time.Minute
	// leastGroup is how many shards make a group: with fewer, more is called than without.
	leastGroup = 3
)

// sealKey is that of a shard, as it has told it; the zero value is none.
type sealKey struct {
	number uint64
	by     cipher.AEAD
	since  time.Time
}

// sealKeyFrom reads the key that a shard tells. One that cannot be used is none: the shard is asked directly.
func sealKeyFrom(m *agentv1.SummarizeResponse) sealKey {
	by, err := newSealer(m.GetSealKey())
	if err != nil {
		return sealKey{}
	}
	return sealKey{m.GetSealNumber(), by, time.Now()}
}

func (k sealKey) holds() bool { return k.by != nil && time.Since(k.since) < keyUse }

var _ federate.Relayer = (*Roster)(nil)

// relayable is a shard that can be asked by way of others.
type relayable struct {
	member federate.Member
	shard  shardOf
	key    sealKey
}

// Relays groups the shards that have told a key. Which group one is in, and which of a group is asked about the others, hangs
// on their names, so that all controllers have the same, and changes little as hosts come and go.
func (r *Roster) Relays(members []federate.Member) (groups []federate.Relay, rest []federate.Member) {
	sets := make([][]relayable, groupsOf(len(members)))
	found := make([]relayGroup, len(sets))
	best := make([]uint64, len(sets))
	term := strconv.FormatInt(time.Now().Unix()/int64(relayTerm/time.Second), 10)
	r.mu.Lock()
	for _, m := range members {
		shard, up := m.Shard.(shardOf)
		if !up {
			rest = append(rest, m)
			continue
		}
		s, at := r.summary(shard.url), place(m.Name, len(sets))
		if !s.key.holds() || len(sets[at]) == maxRelayed || time.Since(s.unrelayed) <= unrelayedRest {
			rest = append(rest, m)
			continue
		}
		sets[at] = append(sets[at], relayable{m, shard, s.key})
		if time.Since(s.badRelay) > badRelayRest {
			if rank := hashed(m.Name, term); rank >= best[at] {
				best[at], found[at].by = rank, shard
			}
		}
	}
	r.mu.Unlock()
	for i, set := range sets {
		if len(set) < leastGroup || found[i].by.URL == nil {
			for _, one := range set {
				rest = append(rest, one.member)
			}
			continue
		}
		found[i].roster, found[i].all = r, set
		groups = append(groups, &found[i])
	}
	return groups, rest
}

// groupsOf is how many groups so many shards make: about the square root, a power of two, which changes seldom.
func groupsOf(n int) int { return 1 << int(math.Round(math.Log2(float64(max(n, 1)))/2)) }

// place is the group of a shard, of a power of two of them.
func place(name string, groups int) int {
	return int(hashed(name) % uint64(groups))
}

// hashed is FNV-1a of 64 bits, mixed so that all bits depend on all (the last steps of MurmurHash3).
func hashed(texts ...string) uint64 {
	of := fnv.New64a()
	for _, text := range texts {
		_, _ = of.Write([]byte(text)) // a hash takes everything
	}
	h := of.Sum64()
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// relayGroup is shards, one of which is asked about all.
type relayGroup struct {
	roster *Roster
	by     shardOf
	all    []relayable
}

// Members are those of the group.
func (g *relayGroup) Members() []federate.Member {
	members := make([]federate.Member, len(g.all))
	for i, one := range g.all {
		members[i] = one.member
	}
	return members
}

// Ask calls the relay. One that fails is not called for a while, unless it has too much to do.
func (g *relayGroup) Ask(ctx context.Context, e federate.Evaluation, tell federate.Told) error {
	err := g.ask(ctx, e, tell)
	if err != nil && connect.CodeOf(err) != connect.CodeResourceExhausted && (ctx.Err() == nil || errors.Is(context.Cause(ctx), federate.ErrSilentRelay)) {
		g.rest()
		g.roster.Logger.Debug("a shard fails to ask others; they are asked directly", "shard", g.by.url, "shards", len(g.all), "error", err)
	}
	return err
}

// Distrust has the relay not called for a while.
func (g *relayGroup) Distrust() {
	g.rest()
	g.roster.Logger.Debug("a shard keeps back what others answer; they were asked directly", "shard", g.by.url, "shards", len(g.all))
}

// avoid has those not asked by way of others for a while that the relay failed with, or the relay where these are most.
func (g *relayGroup) avoid(failed map[int]error) {
	if 2*len(failed) >= len(g.all) {
		g.rest()
		g.roster.Logger.Debug("a shard fails to ask most of the others; they are asked directly", "shard", g.by.url, "failed", len(failed), "shards", len(g.all))
		return
	}
	for i, err := range failed {
		if url := g.all[i].shard.url; g.roster.avoid(url) {
			level := slog.LevelInfo
			if strings.Contains(err.Error(), clockAdvice) { // all that a relay tells is a text
				level = slog.LevelWarn
			}
			g.roster.Logger.Log(context.Background(), level, "a shard cannot be asked by way of another; it is asked directly for a minute", "shard", url, "by", g.by.url, "error", err)
		}
	}
}

// avoid has a shard asked directly for a while, and tells whether it was not.
func (r *Roster) avoid(url string) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.summary(url)
	first = time.Since(s.unrelayed) > unrelayedRest
	s.unrelayed = time.Now()
	return first
}

func (g *relayGroup) rest() {
	g.roster.mu.Lock()
	defer g.roster.mu.Unlock()
	g.roster.summary(g.by.url).badRelay = time.Now()
}

func (g *relayGroup) ask(ctx context.Context, e federate.Evaluation, tell federate.Told) error {
	question, err := proto.Marshal(evaluationTo(e))
	if err != nil {
		return err
	}
	m := &agentv1.RelayRequest{Question: question, Asked: time.Now().UnixMilli()}
	data := questionData(question, m.GetAsked())
	heard := &hearing{e: e, tell: tell, of: make([]heardOf, len(g.all)), failed: map[int]error{}}
	defer func() { g.avoid(heard.failed) }()
	for i, one := range g.all {
		proof := prove(one.key.by, data)
		to := &agentv1.RelayedShard{Key: one.key.number, Proof: proof}
		if one.shard.url != g.by.url {
			to.Address = one.shard.URL.Host
		}
		m.Shards = append(m.Shards, to)
		heard.of[i].seal = newSealed(one.key.by, proof)
	}
	at := *g.by.URL
	at.Path = agentv1connect.ShardServiceRelayProcedure
	stream, err := open(ctx, g.by.HTTP, &at, m)
	if err != nil {
		return err
	}
	defer stream.close()
	for piece := (&agentv1.RelayResponse{}); ; piece.Reset() {
		switch more, err := stream.next(piece); {
		case err != nil:
			return err
		case !more:
			heard.rest()
			return nil
		}
		if err := heard.take(piece); err != nil {
			return err
		}
	}
}

// hearing puts the answers together that a relay tells in turns.
type hearing struct {
	e    federate.Evaluation
	tell federate.Told
	of   []heardOf
	// failed are those whose answers the relay does not bring, and why.
	failed map[int]error
}

// heardOf is the answer of one shard.
type heardOf struct {
	seal   *sealed
	ctx    context.Context // for what the answer takes
	answer *collector
	done   bool
}

// take reads a piece. An error is one of the relay.
func (h *hearing) take(piece *agentv1.RelayResponse) error {
	h.tell.Alive()
	i := int(piece.GetShard())
	switch {
	case len(piece.GetSealed())+len(piece.GetFailed()) == 0:
		return nil
	case i >= len(h.of):
		return fmt.Errorf("a relay tells of shard %d of %d", i, len(h.of))
	case h.of[i].done:
		return nil // it is of an answer that cannot be read
	case piece.GetFailed() != "":
		h.lost(i, connect.NewError(connect.CodeUnavailable, fmt.Errorf("by way of another host: %s", piece.GetFailed())))
		return nil
	}
	over, err := h.add(i, piece.GetSealed())
	switch {
	case errors.Is(err, errChanged):
		h.lost(i, err)
	case err != nil:
		h.end(i, federate.Partial{}, err)
	case over:
		p, err := h.of[i].answer.finish()
		h.end(i, p, err)
	}
	return nil
}

// add takes a piece of an answer. Whatever is wrong with it but a refusal has the shard asked directly.
func (h *hearing) add(i int, sealed []byte) (over bool, err error) {
	of := &h.of[i]
	flags, content, err := of.seal.open(sealed)
	if err != nil {
		return false, err
	}
	if of.answer == nil {
		of.answer, of.ctx = newCollector(h.e), h.tell.Context(i)
	}
	if flags&flagLast != 0 {
		return true, fromConnect(lastFrom(content))
	}
	return false, of.answer.receive(content, func(bytes int64) error { return federate.Hold(of.ctx, bytes) })
}

// lost ends an answer that the relay does not bring.
func (h *hearing) lost(i int, err error) {
	h.failed[i] = err
	h.end(i, federate.Partial{}, err)
}

// rest ends the answers that go no further.
func (h *hearing) rest() {
	for i := range h.of {
		if !h.of[i].done {
			h.end(i, federate.Partial{}, connect.NewError(connect.CodeUnavailable, errCut))
		}
	}
}

func (h *hearing) end(i int, p federate.Partial, err error) {
	h.of[i] = heardOf{done: true}
	h.tell.Answer(i, p, err)
}
