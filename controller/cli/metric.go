package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/engine/durable"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/spf13/cobra"
)

// metricCommand holds what concerns metrics.
func (a *app) metricCommand() *cobra.Command {
	return a.group("metric", "Work with metrics", "Every host keeps the metrics that it measures, or collects for the cluster, in a shard of its own.",
		a.metricQuery(), a.metricCardinality(), a.limitsCommand(), a.sourceCommand(), a.forwardCommand(), a.metricDefine(), a.definitionCommand(),
		a.metricPush(), a.shardCommand())
}

// shardFlags are common to the commands on one shard.
type shardFlags struct{ dir string }

func (a *app) shardCommand() *cobra.Command {
	f := &shardFlags{}
	cmd := a.group("shard", "Work on the folder of one metric shard", `A shard is a folder with the metrics of one host. These commands need no cluster, but a folder that nobody has open: that
of a stopped agent (metrics/ in its data directory), a snapshot, or a new one. The folder comes from --dir or
$NOVACRON_SHARD.

  novacron metric shard info --dir /var/lib/novacron/metrics
  novacron metric shard query --dir snap 'sum(rate(vm_cpu_seconds_total[5m]))' --range 24h --step 5m -o csv`,
		a.shardInfo(f), a.shardQuery(f), a.shardImport(f), a.shardExport(f), a.shardVerify(f), a.shardDump(f), a.shardSnapshot(f), a.shardDelete(f),
		a.shardCardinality(f), a.shardRetention(f))
	cmd.PersistentFlags().StringVar(&f.dir, "dir", "", "`folder` of the shard (default $NOVACRON_SHARD)")
	return cmd
}

func (a *app) shardFolder(f *shardFlags) (string, error) {
	if dir := firstOf(f.dir, a.io.Env("NOVACRON_SHARD")); dir != "" {
		return dir, nil
	}
	return "", usagef("--dir or NOVACRON_SHARD is needed: the folder of the shard")
}

// readShard opens a shard that is there, and changes nothing in it.
func (a *app) readShard(f *shardFlags) (*shard.Shard, error) {
	return a.openShard(f, shard.Options{ReadOnly: true})
}

// changeShard opens a shard that is there to change it.
func (a *app) changeShard(f *shardFlags) (*shard.Shard, error) {
	dir, err := a.shardFolder(f)
	if err != nil {
		return nil, err
	}
	if err := shard.Exists(dir); err != nil {
		return nil, explainShard(err)
	}
	return a.openShard(f, shard.Options{})
}

// openShard opens a shard that does nothing by itself.
func (a *app) openShard(f *shardFlags, options shard.Options) (*shard.Shard, error) {
	dir, err := a.shardFolder(f)
	if err != nil {
		return nil, err
	}
	options.Dir, options.Maintain, options.Clock = dir, -1, a.io.Now
	options.Logger = slog.New(slog.NewTextHandler(a.io.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := shard.Open(options)
	return s, explainShard(err)
}

func explainShard(err error) error {
	switch {
	case errors.Is(err, durable.ErrLocked):
		return &fault{what: err.Error(), hint: "stop the agent, or ask it while it runs: `novacron metric query`", cause: err}
	case errors.Is(err, shard.ErrNoShard):
		return &fault{what: err.Error(), hint: "`novacron metric shard import` makes a new one", cause: err}
	}
	return err
}

// withShard runs a command on an open shard and closes it.
func withShard(open func() (*shard.Shard, error), use func(*shard.Shard) error) error {
	s, err := open()
	if err != nil {
		return err
	}
	err = use(s)
	if closed := s.Close(); err == nil {
		return closed
	}
	return err
}

// moment is a flag for a time: RFC 3339, a date, seconds since 1970, or a while ago such as -1h.
type instant struct {
	at  time.Time
	now func() time.Time
}

// String is the time as RFC 3339.
func (m *instant) String() string {
	if m.at.IsZero() {
		return ""
	}
	return m.at.UTC().Format(time.RFC3339Nano)
}

// Set reads a time.
func (m *instant) Set(text string) error {
	if ago, is := strings.CutPrefix(text, "-"); is {
		d, err := tsdb.ParseDuration(ago)
		if err == nil {
			m.at = m.now().Add(-time.Duration(d))
			return nil
		}
	}
	if text == "now" {
		m.at = m.now()
		return nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1e11 {
		m.at = time.UnixMilli(int64(seconds * 1000))
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, text); err == nil {
			m.at = at
			return nil
		}
	}
	return fmt.Errorf("%q is no time: write 2026-01-31T12:00:00Z, a date, seconds since 1970, now, or a while ago such as -1h", text)
}

// Type is what help shows as the placeholder.
func (m *instant) Type() string { return "time" }

// or is the time that was given, or another one.
func (m *instant) or(other time.Time) time.Time {
	if m.at.IsZero() {
		return other
	}
	return m.at
}

// duration is a flag for a length of time such as 90d.
type duration struct{ tsdb.Duration }

// String is the length of time, empty for none.
func (d *duration) String() string {
	if d.Duration == 0 {
		return ""
	}
	return d.Duration.String()
}

// Set reads a length of time.
func (d *duration) Set(text string) (err error) {
	d.Duration, err = tsdb.ParseDuration(text)
	return err
}

// Type is what help shows as the placeholder.
func (d *duration) Type() string { return "duration" }

// milliseconds shows a time in milliseconds to people and machines alike.
func milliseconds(t int64) string { return time.UnixMilli(t).UTC().Format("2006-01-02T15:04:05.999Z") }
