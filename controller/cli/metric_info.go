package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/engine"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/spf13/cobra"
)

// shardView is a shard as people and scripts see it.
type shardView struct {
	Dir string `json:"dir"`
	// Series are those of the log, which are not in a block yet.
	Series int `json:"live_series"`
	// Oldest and Newest are the times of samples, empty where there are none.
	Oldest     string      `json:"oldest,omitempty"`
	Newest     string      `json:"newest,omitempty"`
	BlockBytes uint64      `json:"block_bytes"`
	LogBytes   int64       `json:"log_bytes"`
	Samples    uint64      `json:"raw_samples"`
	Damage     int64       `json:"damage"`
	Unreadable []string    `json:"unreadable,omitempty"`
	Blocks     []blockView `json:"blocks"`
}

// blockView is one block.
type blockView struct {
	ID      string `json:"id"`
	Tier    string `json:"tier"`
	Level   int    `json:"level"`
	From    string `json:"from"`
	To      string `json:"to"`
	Series  uint64 `json:"series"`
	Samples uint64 `json:"samples"`
	Bytes   uint64 `json:"bytes"`
}

func (a *app) shardInfo(f *shardFlags) *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "Show what a shard has", Args: cobra.NoArgs,
		Long: `Show what a shard has: its bounds of time, its series, and its blocks of samples (raw) and of windows (5m, 1h).
-o csv prints a line for each block.

  novacron metric shard info --dir metrics -o json`,
		RunE: func(*cobra.Command, []string) error {
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error {
				dir, err := a.shardFolder(f)
				if err != nil {
					return err
				}
				return a.printShard(newShardView(dir, s))
			})
		},
	}
}

func newShardView(dir string, s *shard.Shard) shardView {
	stats := s.Durable().Stats()
	v := shardView{Dir: dir, Series: stats.Series, LogBytes: stats.LogBytes, Damage: stats.Damaged, Blocks: []blockView{}}
	if minT, maxT, ok := s.Engine().Bounds(); ok {
		v.Oldest, v.Newest = milliseconds(minT), milliseconds(maxT)
	}
	slices.SortFunc(stats.Blocks, func(a, b block.Meta) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.MinTime, b.MinTime))
	})
	for i := range stats.Blocks {
		b := &stats.Blocks[i]
		v.BlockBytes += b.Bytes
		if b.Tier == engine.TierRaw {
			v.Samples += b.Samples
		}
		v.Blocks = append(v.Blocks, blockView{
			b.ID.String(), b.Tier.String(), b.Level, milliseconds(b.MinTime), milliseconds(b.MaxTime), b.Series, b.Samples, b.Bytes,
		})
	}
	for folder := range stats.Unreadable {
		v.Unreadable = append(v.Unreadable, folder)
	}
	slices.Sort(v.Unreadable)
	return v
}

func (a *app) printShard(v shardView) error {
	switch a.output.value {
	case outJSON, outYAML:
		return a.writeObject(v)
	case outCSV, outWide:
		return list(a, blockTable(), v.Blocks)
	}
	var d details
	d.add("Folder", v.Dir)
	d.add("Oldest sample", v.Oldest)
	d.add("Newest sample", v.Newest)
	d.add("Series in the log", fmt.Sprint(v.Series))
	d.add("Log", formatBytes(uint64(max(v.LogBytes, 0))))
	for _, tier := range []engine.Tier{engine.TierRaw, engine.TierFiveMinutes, engine.TierHour} {
		d.add("Blocks "+tier.String(), tierLine(v.Blocks, tier.String()))
	}
	if v.Damage > 0 {
		d.add("Damage", fmt.Sprintf("%d places: see `novacron metric shard verify`", v.Damage))
	}
	for _, folder := range v.Unreadable {
		d.add("Unreadable block", folder)
	}
	return d.write(a.io.Out)
}

// tierLine sums up the blocks of a tier.
func tierLine(blocks []blockView, tier string) string {
	var n, samples, bytes uint64
	from, to := "", ""
	for _, b := range blocks {
		if b.Tier != tier {
			continue
		}
		if n++; n == 1 {
			from = b.From
		}
		to = max(to, b.To)
		samples, bytes = samples+b.Samples, bytes+b.Bytes
	}
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, %s, %d samples, %s to %s", n, formatBytes(bytes), samples, from, to)
}

func blockTable() table[blockView] {
	type b = blockView
	return table[b]{plural: "blocks", columns: []column[b]{
		{name: "BLOCK", text: func(v b) string { return v.ID }}, {name: "TIER", text: func(v b) string { return v.Tier }},
		{name: "LEVEL", text: func(v b) string { return fmt.Sprint(v.Level) }},
		{name: "FROM", text: func(v b) string { return v.From }}, {name: "TO", text: func(v b) string { return v.To }},
		{name: "SERIES", text: func(v b) string { return fmt.Sprint(v.Series) }}, {name: "SAMPLES", text: func(v b) string { return fmt.Sprint(v.Samples) }},
		{name: "SIZE", text: func(v b) string { return formatBytes(v.Bytes) }, raw: func(v b) string { return fmt.Sprint(v.Bytes) }, rawName: "bytes"},
	}}
}

// countView is a name and how often it occurs.
type countView struct {
	What  string `json:"what"`
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

func (a *app) shardCardinality(f *shardFlags) *cobra.Command {
	e := newExploring()
	cmd := &cobra.Command{
		Use: "cardinality [SELECTOR]", Short: "Tell where the series come from", Args: cobra.MaximumNArgs(1),
		Long: `Tell which metrics, labels and values the live series are made of, the largest first. Live are the series of the log:
those with samples that are not in a block yet. With a selector, --by, --metric, --since or --drop it counts the series of
the shard's last two hours and compares, as "novacron metric cardinality" does for all hosts.

  novacron metric shard cardinality --dir metrics --top 20
  novacron metric shard cardinality --dir metrics --metric http_requests_total --since 24h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := e.ask(args)
			if err != nil {
				return err
			}
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error {
				if len(args) == 0 && !e.compares(cmd) {
					return list(a, countTable(), countViews(s.Engine().Cardinality(ask.Top)))
				}
				answer, err := exploreShard(cmd.Context(), s, ask)
				if err != nil {
					return err
				}
				return a.printCardinality(ask, answer.Proto())
			})
		},
	}
	e.flags(cmd)
	return cmd
}

func countViews(c engine.Cardinality) []countView {
	views := []countView{{"total", "series", c.Series}, {"total", "series in 24 hours", c.Churned}, {"total", "label names", c.Labels}, {"total", "label values", c.Values}}
	for _, group := range []struct {
		what   string
		counts []engine.Count
	}{{"series by metric", c.ByMetric}, {"values by label", c.ByLabel}, {"series by pair", c.ByPair}, {"bytes by label", c.BytesByLabel}} {
		for _, count := range group.counts {
			views = append(views, countView{group.what, count.Name, count.Count})
		}
	}
	return views
}

func countTable() table[countView] {
	return table[countView]{plural: "series", columns: []column[countView]{
		{name: "WHAT", text: func(v countView) string { return v.What }}, {name: "NAME", text: func(v countView) string { return v.Name }},
		{name: "COUNT", text: func(v countView) string { return fmt.Sprint(v.Count) }},
	}}
}
