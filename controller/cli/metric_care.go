package cli

import (
	"fmt"
	"path/filepath"

	"github.com/novacron/novacron/tsdb/block"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/spf13/cobra"
)

// checkView is what a verification found in a block.
type checkView struct {
	Block    string   `json:"block"`
	Tier     string   `json:"tier,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Samples  uint64   `json:"samples"`
	Findings uint64   `json:"findings"`
	Damage   []string `json:"damage,omitempty"`
}

func (a *app) shardVerify(f *shardFlags) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read everything and look for damage", Args: cobra.NoArgs,
		Long: `Read every byte of the log and of all blocks, and compare checksums, order and counts. It ends with status 1 where anything
is damaged; what is damaged is left out of answers, and all else can be read.

  novacron metric shard verify --dir metrics`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error {
				checks, damage, err := s.Verify(cmd.Context())
				if err != nil {
					return err
				}
				return a.printChecks(checks, damage)
			})
		},
	}
}

func (a *app) printChecks(checks []shard.Check, damage int64) error {
	views := make([]checkView, len(checks))
	f := &fault{hint: "restore the files from a snapshot or another copy, or delete the range of time"}
	findings := uint64(max(damage, 0))
	if damage > 0 {
		f.details = append(f.details, fmt.Sprintf("damage was met in %d places while the shard was opened: see above", damage))
	}
	for i := range checks {
		views[i] = newCheckView(&checks[i])
		findings += views[i].Findings
		for _, text := range views[i].Damage {
			f.details = append(f.details, fmt.Sprintf("block %s: %s", views[i].Block, text))
		}
	}
	if err := list(a, checkTable(), views); err != nil || findings == 0 {
		return err
	}
	f.what = fmt.Sprintf("%d findings in %d blocks: what is damaged is left out of answers", findings, len(checks))
	return f
}

func newCheckView(c *shard.Check) checkView {
	v := checkView{Block: filepath.Base(c.Folder), Samples: c.Report.Samples, Findings: c.Report.Findings}
	if c.Err != nil {
		v.Findings, v.Damage = 1, []string{c.Err.Error()}
		return v
	}
	m := c.Report.Meta
	v.Tier, v.From, v.To = m.Tier.String(), milliseconds(m.MinTime), milliseconds(m.MaxTime)
	for _, damage := range c.Report.Damage {
		v.Damage = append(v.Damage, damage.Error())
	}
	return v
}

func checkTable() table[checkView] {
	type c = checkView
	return table[c]{plural: "blocks", columns: []column[c]{
		{name: "BLOCK", text: func(v c) string { return v.Block }}, {name: "TIER", text: func(v c) string { return v.Tier }},
		{name: "FROM", text: func(v c) string { return v.From }}, {name: "TO", text: func(v c) string { return v.To }},
		{name: "SAMPLES", text: func(v c) string { return fmt.Sprint(v.Samples) }}, {name: "FINDINGS", text: func(v c) string { return fmt.Sprint(v.Findings) }},
	}}
}

func (a *app) shardDump(f *shardFlags) *cobra.Command {
	var only, match string
	var options block.DumpOptions
	cmd := &cobra.Command{
		Use: "dump", Short: "Print what is in blocks", Args: cobra.NoArgs,
		Long: `Print the blocks, their series, and on request their chunks and samples, as text for people who look for a fault.

  novacron metric shard dump --dir metrics --match 'up' --samples`,
		RunE: func(*cobra.Command, []string) (err error) {
			if match != "" {
				if options.Matchers, err = query.ParseSelector(match); err != nil {
					return usagef("--match: %w", err)
				}
			}
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error { return a.dump(s, only, options) })
		},
	}
	cmd.Flags().StringVar(&only, "block", "", "`id` of the one block to print")
	cmd.Flags().StringVar(&match, "match", "", "`selector` of the series to print")
	cmd.Flags().BoolVar(&options.Chunks, "chunks", false, "print chunks")
	cmd.Flags().BoolVar(&options.Samples, "samples", false, "print samples")
	return cmd
}

func (a *app) dump(s *shard.Shard, only string, options block.DumpOptions) error {
	folders, err := s.Durable().BlockFolders()
	if err != nil {
		return err
	}
	found := false
	for _, folder := range folders {
		if only != "" && filepath.Base(folder) != only {
			continue
		}
		found = true
		if err := block.Dump(folder, a.io.Out, options); err != nil {
			return err
		}
	}
	if only != "" && !found {
		return &fault{what: fmt.Sprintf("there is no block %q", only), hint: "`novacron metric shard info -o wide` lists the blocks"}
	}
	return nil
}

func (a *app) shardSnapshot(f *shardFlags) *cobra.Command {
	return &cobra.Command{
		Use: "snapshot FOLDER", Short: "Make a copy of hard links", Args: cobra.ExactArgs(1),
		Long: `Make a folder with everything that the shard has, as hard links: it is quick and takes no space until the shard drops what
it links to. The folder must not be there yet, and be on the same file system.

  novacron metric shard snapshot --dir metrics /var/backups/metrics-1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withShard(func() (*shard.Shard, error) { return a.changeShard(f) }, func(s *shard.Shard) error {
				if err := s.Snapshot(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(a.io.Out, "%s: made\n", clean(args[0]))
				return nil
			})
		},
	}
}

func (a *app) shardDelete(f *shardFlags) *cobra.Command {
	var span spanFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "delete", Short: "Forget samples for good", Args: cobra.NoArgs,
		Long: `Forget the samples and windows between two times, both included, of the series that match. Their space is freed by later
merges. Without --from and --to it is all their samples.

  novacron metric shard delete --dir metrics --match '{vm_name="web-1"}' --to 2026-01-31 --yes`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lists, err := span.matchers()
			if err != nil {
				return err
			}
			if len(lists) == 0 {
				return usagef("--match is needed: which series to forget")
			}
			minT, maxT := span.bounds()
			if err := a.confirm(yes, fmt.Sprintf("Forget samples of the series %q for good?", span.match)); err != nil {
				return err
			}
			return withShard(func() (*shard.Shard, error) { return a.changeShard(f) }, func(s *shard.Shard) error {
				for _, matchers := range lists {
					if err := s.Delete(cmd.Context(), minT, maxT, matchers...); err != nil {
						return err
					}
				}
				return s.Maintain(cmd.Context())
			})
		},
	}
	span.register(a, cmd, "forget")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}
