package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// transport is the library's, with a pipeline that cannot lock up. There, once a follower has refused an append,
// nobody reads the answers any more; if one more append is sent before that is noticed, its sender waits for ever,
// and the follower gets heartbeats but never another entry (hashicorp/raft #612).
type transport struct {
	*raft.NetworkTransport
}

var (
	_ raft.Transport   = transport{}
	_ raft.WithPreVote = transport{}
	_ raft.WithClose   = transport{}
)

// AppendEntriesPipeline opens a pipeline to a follower.
func (t transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return newPipeline(inner), nil
}

// pipeline queues the answers that nobody has read yet, so that the inner one never waits for a reader. The queue is
// short: appends stop soon after a refusal.
type pipeline struct {
	raft.AppendPipeline
	answers chan raft.AppendFuture
	stop    chan struct{}
	once    sync.Once
}

func newPipeline(inner raft.AppendPipeline) *pipeline {
	p := &pipeline{AppendPipeline: inner, answers: make(chan raft.AppendFuture), stop: make(chan struct{})}
	go p.relay()
	return p
}

func (p *pipeline) relay() {
	var queue []raft.AppendFuture
	for {
		var out chan raft.AppendFuture
		var next raft.AppendFuture
		if len(queue) > 0 {
			out, next = p.answers, queue[0]
		}
		select {
		case f := <-p.AppendPipeline.Consumer():
			queue = append(queue, f)
		case out <- next:
			queue = queue[1:]
		case <-p.stop:
			return
		}
	}
}

// Consumer returns the answers in order.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close ends the pipeline.
func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.stop) })
	return p.AppendPipeline.Close()
}
