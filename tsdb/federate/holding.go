package federate

import (
	"context"
	"fmt"
	"sync"

	"github.com/novacron/novacron/tsdb/query"
)

// holding counts what the answers take that are on their way to one query, or wait to be merged.
type holding struct {
	most int64
	mu   sync.Mutex
	now  int64
}

// share is what the answers of one shard take of a holding, those of a second request included.
type share struct {
	of    *holding
	bytes int64
	over  bool
}

// shareKey is where a context has the share of the shard that is asked.
type shareKey struct{}

func (h *holding) share(ctx context.Context) (context.Context, *share) {
	s := &share{of: h}
	return context.WithValue(ctx, shareKey{}, s), s
}

// release gives back what was held. What a request that has lost still brings is not taken any more.
func (s *share) release() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.now -= s.bytes
	s.bytes, s.over = 0, true
}

// Hold notes that an answer is about to take so many bytes of memory. A shard whose answers come from elsewhere calls it
// for each piece, with the context that it was asked with. An error says that the pieces of all shards together are too
// much for one query.
func Hold(ctx context.Context, bytes int64) error {
	s, counted := ctx.Value(shareKey{}).(*share)
	if !counted {
		return nil
	}
	h := s.of
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case s.over:
		return context.Canceled
	case h.now+bytes > h.most:
		return &RefusedError{&query.LimitError{Limit: "bytes", Reached: fmt.Sprintf("%d for answers of hosts that arrive at one time", h.now+bytes), Max: fmt.Sprint(h.most),
			Way: "aggregate, name more labels in the selectors, or ask for less time or fewer steps"}}
	}
	h.now += bytes
	s.bytes += bytes
	return nil
}
