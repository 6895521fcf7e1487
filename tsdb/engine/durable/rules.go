package durable

import (
	"context"
	"errors"
	"time"
)

func (s *Store) expireByRules(ctx context.Context, now time.Time) error { return errors.Join() }
