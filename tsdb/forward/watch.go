package forward

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

const (
	// watchEvery is how often it is looked whether there is something to tell an operator: so often a line comes at most,
	// however many requests are refused meanwhile.
	watchEvery = time.Minute
	// stuckAfter is how long samples wait before a remote that takes none is told, stuckAgain when it is told again.
	stuckAfter, stuckAgain = 5 * time.Minute, time.Hour
)

// watch remembers what an operator was told of the forwards.
type watch struct {
	logger *slog.Logger
	now    func() time.Time
	// lost are the samples that were told to be lost, by forward and reason; stuck is since when a remote was told to take
	// nothing.
	lost  map[string]map[string]int64
	stuck map[string]time.Time
}

func newWatch(logger *slog.Logger, now func() time.Time) *watch {
	return &watch{logger: logger, now: now, lost: map[string]map[string]int64{}, stuck: map[string]time.Time{}}
}

// run looks at the forwards until it is closed, and once more then.
func (w *watch) run(statuses func() []Status, closing <-chan struct{}) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-closing:
			w.look(statuses())
			return
		case <-ticker.C:
			w.look(statuses())
		}
	}
}

func (w *watch) look(all []Status) {
	there := map[string]bool{}
	for _, s := range all {
		there[s.Name] = true
		w.losses(s)
		w.delivery(s)
	}
	gone := func(name string) bool { return !there[name] }
	maps.DeleteFunc(w.lost, func(name string, _ map[string]int64) bool { return gone(name) })
	maps.DeleteFunc(w.stuck, func(name string, _ time.Time) bool { return gone(name) })
}

// losses tells what was lost since it was told last.
func (w *watch) losses(s Status) {
	told := w.lost[s.Name]
	for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
		if lost := s.Dropped[reason] - told[reason]; lost > 0 {
			w.logger.Error("samples of a forward are lost", "forward", s.Name, "reason", reason, "samples", lost, "since_start", s.Dropped[reason],
				"queue_bytes", s.QueueBytes, "error", s.Error)
		}
	}
	w.lost[s.Name] = s.Dropped
}

// delivery tells that a remote takes nothing, and that it does again.
func (w *watch) delivery(s Status) {
	last, told := w.stuck[s.Name]
	switch waits := s.Pending > 0 && s.Lag >= stuckAfter && s.Error != ""; {
	case waits && (!told || w.now().Sub(last) >= stuckAgain):
		w.stuck[s.Name] = w.now()
		w.logger.Warn("samples wait to be forwarded", "forward", s.Name, "lag", s.Lag.Round(time.Second), "samples", s.Pending, "queue_bytes", s.QueueBytes, "error", s.Error)
	case told && s.Error == "":
		delete(w.stuck, s.Name)
		w.logger.Info("samples are forwarded again", "forward", s.Name, "samples", s.Pending)
	}
}
