package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/novacron/novacron/tsdb/query"
	"github.com/spf13/cobra"
)

// queryFlags say what is asked, when it is evaluated, and how the answer is shown.
type queryFlags struct {
	at, start, end instant
	length         duration
	step           string
	pick           pickFlags
	show           showFlags
}

// question is what the flags ask.
type question struct {
	expr string
	// instant: at times.End alone.
	instant bool
	times   query.Range
}

const autoStep = "auto"

func (a *app) newQueryFlags() *queryFlags {
	q := &queryFlags{show: newShowFlags()}
	for _, at := range []*instant{&q.at, &q.start, &q.end} {
		at.now = a.io.Now
	}
	return q
}

func (q *queryFlags) register(cmd *cobra.Command) {
	cmd.Flags().Var(&q.at, "time", "when to evaluate")
	cmd.Flags().Var(&q.start, "start", "first time of a range")
	cmd.Flags().Var(&q.end, "end", "last time of a range (default now)")
	cmd.Flags().Var(&q.length, "range", "length of a range that has no --start, such as 24h")
	cmd.Flags().StringVar(&q.step, "step", autoStep, "`duration` from one point to the next, such as 1m; auto gives as many points as are shown, 240 where that is not known")
	q.pick.register(cmd)
	q.show.register(cmd)
}

// check refuses flags that do not go together.
func (q *queryFlags) check(a *app, cmd *cobra.Command) error {
	return errors.Join(notBoth(cmd, "time", "start", "end", "range", "step"), notBoth(cmd, "start", "range"), q.show.check(a, cmd))
}

// question puts the flags together. Latest stands for now; points are about how many a range has whose step is found by itself.
func (q *queryFlags) question(args []string, latest time.Time, points int) (question, error) {
	asked, err := q.times(latest, points)
	if err != nil {
		return question{}, err
	}
	asked.expr, err = q.pick.expr(args, asked)
	return asked, err
}

func (q *queryFlags) times(latest time.Time, points int) (question, error) {
	start, end := q.start.at, q.end.or(latest)
	if q.length.Duration != 0 {
		start = end.Add(-time.Duration(q.length.Duration))
	}
	if start.IsZero() {
		if !q.end.at.IsZero() || q.step != autoStep {
			return question{}, usagef("--end and --step are of a range: say --range or --start, too")
		}
		return question{instant: true, times: query.Range{End: q.at.or(latest)}}, nil
	}
	every, err := stepOf(q.step, end.Sub(start), points)
	if err != nil {
		return question{}, err
	}
	times := query.Range{Start: start, End: end, Step: every}
	if q.step == autoStep {
		times = times.Aligned()               // round times are the same each time
		times.End = times.End.Truncate(every) // round steps are parts of a day, and so of the time since 1970
	}
	return question{times: times}, nil
}

const (
	// autoPoints is about how many points a range has whose step is found by itself.
	autoPoints = 240
	// leastStep is the shortest of such a step: how often hosts are measured.
	leastStep = 15 * time.Second
)

// roundSteps are those that are chosen from. Rollups have 5 min and 1 h.
var roundSteps = []time.Duration{
	leastStep, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
}

// stepOf reads a step, or finds the shortest round one with at most so many points.
func stepOf(text string, span time.Duration, points int) (time.Duration, error) {
	if text != autoStep {
		var given duration
		if err := given.Set(text); err != nil || given.Duration <= 0 {
			return 0, usagef("--step %q: write a duration above zero such as 1m, or auto", text)
		}
		return time.Duration(given.Duration), nil
	}
	for _, round := range roundSteps {
		if span/round <= time.Duration(points) {
			return round, nil
		}
	}
	return roundSteps[len(roundSteps)-1], nil
}

func (a *app) printPromQL(expr string) error {
	_, err := fmt.Fprintln(a.io.Out, expr)
	return err
}

// printCompiled prints the question, without asking anybody.
func (q *queryFlags) printCompiled(a *app, args []string) error {
	asked, err := q.question(args, a.io.Now(), q.show.points(a))
	if err != nil {
		return err
	}
	return a.printPromQL(asked.expr)
}
