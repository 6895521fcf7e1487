package federate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/novacron/novacron/tsdb/federate/explore"
)

// Description is what a shard knows of a metric.
type Description struct{ Name, Type, Unit, Help string }

// Surveyor is a Shard that tells what it has, besides its samples.
type Surveyor interface {
	// Explore counts series.
	Explore(ctx context.Context, q explore.Question) (explore.Report, error)
	// Describe lists what is known of one metric or, without a name, of all.
	Describe(ctx context.Context, metric string) ([]Description, error)
}

// LocalSurvey is the Surveyor of this process's shard. It counts for one question at a time.
type LocalSurvey struct {
	local        Local
	descriptions func() []Description
	counting     chan struct{}
}

// NewLocalSurvey asks a shard, and a function for what is known of metrics.
func NewLocalSurvey(local Local, descriptions func() []Description) *LocalSurvey {
	return &LocalSurvey{local, descriptions, make(chan struct{}, 1)}
}

// Explore counts the series of the store.
func (s *LocalSurvey) Explore(ctx context.Context, q explore.Question) (explore.Report, error) {
	select {
	case s.counting <- struct{}{}:
	case <-ctx.Done():
		return explore.Report{}, context.Cause(ctx)
	}
	defer func() { <-s.counting }()
	return explore.Count(ctx, s.local.Store, s.local.Host, q)
}

// Describe lists what is known of one metric, or of all.
func (s *LocalSurvey) Describe(_ context.Context, metric string) (some []Description, err error) {
	for _, d := range s.descriptions() {
		if metric == "" || d.Name == metric {
			some = append(some, d)
		}
	}
	return some, nil
}

// Ask answers a question of people from the shard alone.
func (s *LocalSurvey) Ask(ctx context.Context, q explore.Question) (*explore.Merger, []string, error) {
	report, err := s.Explore(ctx, q)
	merged := explore.NewMerger()
	merged.Add(s.local.Host, q, report)
	return merged, nil, err
}

// ErrNoSurvey is a shard that cannot tell, and is missing.
var ErrNoSurvey = errors.New("it does not tell what it has")

func surveyor(ctx context.Context, m Member) (Surveyor, error) {
	if s, is := m.Shard.(Surveyor); is {
		return s, nil
	}
	if _, err := m.Shard.LabelNames(ctx, 0, -1, 1); err != nil {
		return nil, err // such as that the host is down
	}
	return nil, ErrNoSurvey
}

// Explore has all shards that may have such series count them. The texts say which hosts are missing; none where all
// answered.
func (f *Fleet) Explore(ctx context.Context, q explore.Question) (*explore.Merger, []string, error) {
	merged := explore.NewMerger()
	missing, err := each(ctx, f.opts, f.members(q.Matchers),
		func(ctx context.Context, m Member) (explore.Report, error) {
			s, err := surveyor(ctx, m)
			if err != nil {
				return explore.Report{}, err
			}
			return s.Explore(ctx, q)
		},
		func(m Member, r explore.Report) error {
			merged.Add(m.Name, q, r)
			return merged.Check()
		})
	return merged, missing.texts(), err
}

// maxDescriptions bounds the descriptions of all shards together; names beyond it are left out, and told.
const maxDescriptions = 50_000

// Describe lists, by metric, what the shards know of it: once what they agree on.
func (f *Fleet) Describe(ctx context.Context, metric string) (map[string][]Description, []string, error) {
	all, left := map[string][]Description{}, 0
	seen := map[Description]bool{}
	missing, err := each(ctx, f.opts, f.directory.Members(),
		func(ctx context.Context, m Member) ([]Description, error) {
			s, err := surveyor(ctx, m)
			if err != nil {
				return nil, err
			}
			return s.Describe(ctx, metric)
		},
		func(_ Member, some []Description) error {
			for _, d := range some {
				switch {
				case seen[d]:
				case len(seen) >= maxDescriptions:
					left++
				default:
					seen[d] = true
					all[d.Name] = append(all[d.Name], d)
				}
			}
			return nil
		})
	for name := range all { // what says most comes first
		slices.SortFunc(all[name], func(a, b Description) int {
			return cmp.Or(cmp.Compare(len(b.Help), len(a.Help)), cmp.Compare(b.Help, a.Help), cmp.Compare(b.Unit, a.Unit), cmp.Compare(b.Type, a.Type))
		})
	}
	texts := missing.texts()
	if left > 0 {
		texts = append(texts, fmt.Sprintf("more than %d descriptions of metrics: %d are left out: name a metric", maxDescriptions, left))
	}
	return all, texts, err
}

// texts are the error as a warning, where there is one.
func (e *MissingError) texts() []string {
	if e == nil {
		return nil
	}
	return []string{e.Error()}
}
