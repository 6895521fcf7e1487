package consensus

import (
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// fakePipeline hands its answers over without a buffer, as the library's does.
type fakePipeline struct {
	raft.AppendPipeline
	done   chan raft.AppendFuture
	closed int
}

func (f *fakePipeline) Consumer() <-chan raft.AppendFuture { return f.done }
func (f *fakePipeline) Close() error                       { f.closed++; return nil }

// answer is told apart by its number.
type answer struct {
	raft.AppendFuture
	n int
}

func TestPipelineTakesAnswersThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &fakePipeline{done: make(chan raft.AppendFuture)}
		p := newPipeline(inner)
		for i := range 5 {
			// Without a relay this blocks for ever, and the bubble reports the deadlock.
			inner.done <- answer{n: i}
		}
		for i := range 5 {
			require.Equal(t, answer{n: i}, <-p.Consumer())
		}
		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		require.Equal(t, 2, inner.closed, "the library's Close is idempotent itself")
	})
}
