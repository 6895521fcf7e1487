package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/spf13/cobra"
)

// policyView is what a shard keeps for how long.
type policyView struct {
	Retention    tsdb.RetentionPolicy    `json:"retention"`
	Downsampling tsdb.DownsamplingPolicy `json:"downsampling"`
}

// retentionFlags change parts of a policy.
type retentionFlags struct {
	raw, fiveMinutes, hour duration
	maxBytes               size
	file                   string
}

func (a *app) shardRetention(f *shardFlags) *cobra.Command {
	r := &retentionFlags{maxBytes: size{parse: parseDiskBytes, unit: "B"}}
	cmd := &cobra.Command{
		Use: "retention", Short: "Show or change how long what is kept", Args: cobra.NoArgs,
		Long: `Show how long samples (raw) and windows (5m, 1h) are kept; with flags, change it first. 0 is for ever. Rules for series of
their own and the tiers that are made come in a file of JSON, as -o json prints it; the first rule that matches counts.

  novacron metric shard retention --dir metrics
  novacron metric shard retention --dir metrics --raw 30d --max-size 20GiB
  novacron metric shard retention --dir metrics --file policy.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notBoth(cmd, "file", "raw", "five-minutes", "hour", "max-size"); err != nil {
				return err
			}
			changed := map[string]bool{}
			for _, name := range []string{"raw", "five-minutes", "hour", "max-size", "file"} {
				changed[name] = cmd.Flags().Changed(name)
			}
			if !changed["raw"] && !changed["five-minutes"] && !changed["hour"] && !changed["max-size"] && !changed["file"] {
				return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, a.printPolicies)
			}
			return withShard(func() (*shard.Shard, error) { return a.changeShard(f) }, func(s *shard.Shard) error {
				if err := a.changePolicies(cmd.Context(), s, r, changed); err != nil {
					return err
				}
				return a.printPolicies(s)
			})
		},
	}
	cmd.Flags().Var(&r.raw, "raw", "how long samples are kept, such as 14d")
	cmd.Flags().Var(&r.fiveMinutes, "five-minutes", "how long windows of 5 min are kept")
	cmd.Flags().Var(&r.hour, "hour", "how long windows of 1 h are kept")
	cmd.Flags().Var(&r.maxBytes, "max-size", "most disk that blocks may take, such as 20GiB; a plain number is GiB, 0 is no bound")
	cmd.Flags().StringVar(&r.file, "file", "", "`file` with all policies, - for the standard input")
	return cmd
}

func (a *app) changePolicies(ctx context.Context, s *shard.Shard, r *retentionFlags, changed map[string]bool) error {
	if changed["file"] {
		return a.policiesFrom(ctx, s, r.file)
	}
	retention, _ := s.Policies()
	for _, part := range []struct {
		name string
		from tsdb.Duration
		to   *tsdb.Duration
	}{
		{"raw", r.raw.Duration, &retention.Default.Raw}, {"five-minutes", r.fiveMinutes.Duration, &retention.Default.FiveMinutes},
		{"hour", r.hour.Duration, &retention.Default.Hour},
	} {
		if changed[part.name] {
			*part.to = part.from
		}
	}
	if changed["max-size"] {
		retention.MaxBytes = int64(r.maxBytes.value)
	}
	return s.ConfigureRetention(ctx, retention)
}

// policiesFrom takes policies from a file: both, or neither.
func (a *app) policiesFrom(ctx context.Context, s *shard.Shard, name string) (err error) {
	var text []byte
	if name == "-" {
		text, err = io.ReadAll(a.io.In)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return err
	}
	var v policyView
	if err := shard.DecodeStrict(text, &v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return s.Configure(ctx, v.Retention, v.Downsampling)
}

func (a *app) printPolicies(s *shard.Shard) error {
	var v policyView
	v.Retention, v.Downsampling = s.Policies()
	switch a.output.value {
	case outJSON, outYAML:
		return a.writeObject(v)
	}
	rows := []retentionRow{}
	for i, rule := range v.Retention.Rules {
		rows = append(rows, retentionRow{firstOf(rule.Name, fmt.Sprint(i+1)), matchText(rule.Match), rule.Keep})
	}
	rows = append(rows, retentionRow{"default", "all others", v.Retention.Default})
	if err := list(a, retentionTable(), rows); err != nil || a.output.value == outCSV {
		return err
	}
	fmt.Fprintln(a.io.Out)
	var d details
	d.add("Most disk", diskText(v.Retention.MaxBytes))
	d.add("Windows", tiersText(v.Downsampling))
	return d.write(a.io.Out)
}

func diskText(bytes int64) string {
	if bytes == 0 {
		return "no bound"
	}
	return formatBytes(uint64(bytes))
}

func tiersText(p tsdb.DownsamplingPolicy) string {
	var parts []string
	for _, tier := range p.Tiers {
		text := "of " + tier.Resolution.String()
		if tier.After > 0 {
			text += " after " + tier.After.String()
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "none are made"
	}
	return strings.Join(parts, ", ")
}

func matchText(filters []tsdb.MetricFilter) string {
	parts := make([]string, len(filters))
	for i, f := range filters {
		parts[i] = fmt.Sprintf("%s%s%q", f.Label, f.Operator, f.Value)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// retentionRow is a rule as people see it.
type retentionRow struct {
	name, match string
	keep        tsdb.Retention
}

func retentionTable() table[retentionRow] {
	keep := func(of func(tsdb.Retention) tsdb.Duration) func(retentionRow) string {
		return func(r retentionRow) string {
			if d := of(r.keep); d > 0 {
				return d.String()
			}
			return "for ever"
		}
	}
	return table[retentionRow]{plural: "rules", columns: []column[retentionRow]{
		{name: "RULE", text: func(r retentionRow) string { return r.name }}, {name: "SERIES", text: func(r retentionRow) string { return r.match }},
		{name: "RAW", text: keep(func(r tsdb.Retention) tsdb.Duration { return r.Raw })},
		{name: "5M", text: keep(func(r tsdb.Retention) tsdb.Duration { return r.FiveMinutes })},
		{name: "1H", text: keep(func(r tsdb.Retention) tsdb.Duration { return r.Hour })},
	}}
}
