package consensus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// regOutput is what a client saw of an operation.
type regOutput struct {
	val     string
	refused bool
	unknown bool
}

// registerModel is one string with set, compare-and-set and get; an operation without an answer may happen at any
// later time or, by happening after everything else, never.
func registerModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[string][]porcupine.Operation{}
			for _, op := range ops {
				k := op.Input.(regCmd).Key
				byKey[k] = append(byKey[k], op)
			}
			var out [][]porcupine.Operation
			for _, ops := range byKey {
				out = append(out, ops)
			}
			return out
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			in, out, now := input.(regCmd), output.(regOutput), state.(string)
			switch {
			case in.Op == "get":
				return out.val == now, now
			case in.Op == "set":
				return true, in.Val
			case out.unknown && now != in.Old:
				return true, now
			case out.unknown || !out.refused:
				return now == in.Old, in.Val
			default:
				return now != in.Old, now
			}
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

// history runs clients against a cluster and keeps what they saw.
type history struct {
	nodes func() []*member
	start time.Time
	stop  atomic.Bool
	serve atomic.Int64

	mu  sync.Mutex
	ops []porcupine.Operation
}

func (h *history) record(client int, call time.Duration, in regCmd, out regOutput) {
	ret := time.Since(h.start).Nanoseconds()
	if out.unknown {
		ret = math.MaxInt64
	} else {
		h.serve.Add(1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call.Nanoseconds(), Output: out, Return: ret})
}

// client runs random operations. Keys change every tenth of a second, which keeps each key's history short.
func (h *history) client(id int) {
	rng := rand.New(rand.NewPCG(uint64(id), 7))
	seen := ""
	for i := 0; !h.stop.Load(); i++ {
		nodes := h.nodes()
		m := nodes[rng.IntN(len(nodes))]
		call := time.Since(h.start)
		in := regCmd{Op: "get", Key: fmt.Sprintf("k%d-%d", call/(100*time.Millisecond), rng.IntN(3))}
		switch rng.IntN(3) {
		case 0:
			in.Op, in.Val = "set", fmt.Sprintf("%d.%d", id, i)
		case 1:
			in.Op, in.Old, in.Val = "cas", seen, fmt.Sprintf("%d.%d", id, i)
		}
		out, err := run(m, in)
		if err == nil || (out.unknown && in.Op != "get") {
			h.record(id, call, in, out)
		}
		if err == nil {
			seen = or(out.val, in.Val)
		}
	}
}

// run executes one operation on one node. out.unknown is set when a write may or may not happen.
func run(m *member, in regCmd) (out regOutput, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if in.Op == "get" {
		err = m.ReadIndex(ctx)
		return regOutput{val: m.sm.get(in.Key)}, err
	}
	result, _, err := m.Propose(ctx, mustJSON(in))
	if err != nil {
		return regOutput{unknown: errors.Is(err, ErrOutcomeUnknown)}, err
	}
	return regOutput{refused: result == errCAS}, nil
}

// disturb makes one random fault and undoes it.
func disturb(c *testCluster, rng *rand.Rand, mu *sync.RWMutex) {
	lead := c.leader()
	switch rng.IntN(4) {
	case 0:
		mu.Lock()
		c.kill(lead)
		mu.Unlock()
		c.leader(lead)
		mu.Lock()
		c.start(lead.id)
		mu.Unlock()
	case 1:
		c.net.split(ids(lead), ids(c.others(lead)...))
		c.leader(lead)
		c.net.heal()
	case 2:
		c.net.drop(lead.id, c.others(lead)[rng.IntN(2)].id)
		hold(time.Duration(rng.IntN(300)) * time.Millisecond)
		c.net.heal()
	default:
		// A refused hand-over is as good a disturbance as one that works.
		_ = lead.TransferLeadership(short(c.t, 2*time.Second), "")
	}
	hold(time.Duration(rng.IntN(300)) * time.Millisecond)
}

// hold lets real I/O go on.
func hold(d time.Duration) { <-time.After(d) }

func TestLinearizableUnderFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	length := 12 * time.Second
	if v := os.Getenv("NOVACRON_LINEAR"); v != "" {
		var err error
		length, err = time.ParseDuration(v)
		require.NoError(t, err)
	}
	c := newCluster(t, 3, nil)
	c.leader()
	var mu sync.RWMutex
	h := &history{start: time.Now(), nodes: func() []*member {
		mu.RLock()
		defer mu.RUnlock()
		var out []*member
		for _, m := range c.members {
			// A copy: a restart replaces node and state machine while the client uses the old ones.
			out = append(out, &member{Node: m.Node, sm: m.sm, id: m.id})
		}
		return out
	}}
	var clients sync.WaitGroup
	for id := range 8 {
		clients.Go(func() { h.client(id) })
	}
	rng := rand.New(rand.NewPCG(1, uint64(h.start.UnixNano())))
	faults := 0
	const enough = 500 // operations; a busy machine takes longer for them
	for ; time.Since(h.start) < length || h.serve.Load() <= enough && time.Since(h.start) < length+patience; faults++ {
		disturb(c, rng, &mu)
	}
	h.stop.Store(true)
	clients.Wait()
	t.Logf("%d faults, %d operations answered, %d without an answer", faults, h.serve.Load(), int64(len(h.ops))-h.serve.Load())
	require.Greater(t, h.serve.Load(), int64(enough))
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(registerModel(), h.ops, time.Minute))
	c.converge()
}

func TestTheCheckerFindsAStaleRead(t *testing.T) {
	ops := []porcupine.Operation{
		{ClientId: 0, Input: regCmd{Op: "set", Key: "k", Val: "1"}, Output: regOutput{}, Call: 0, Return: 10},
		{ClientId: 1, Input: regCmd{Op: "get", Key: "k"}, Output: regOutput{val: ""}, Call: 20, Return: 30},
	}
	require.False(t, porcupine.CheckOperations(registerModel(), ops))
}
