package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/novacron/novacron/tsdb"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/novacron/novacron/tsdb/shard"
	"github.com/novacron/novacron/tsdb/transfer"
	"github.com/spf13/cobra"
)

// importFlags say how a text is read.
type importFlags struct {
	format choice
	at     instant
}

func (a *app) shardImport(f *shardFlags) *cobra.Command {
	i := &importFlags{format: choice{value: "auto", allowed: []string{"auto", string(transfer.OpenMetrics), string(transfer.Prometheus)}}, at: instant{now: a.io.Now}}
	cmd := &cobra.Command{
		Use: "import FILE|DIR...", Short: "Bring in text or Prometheus blocks", Args: cobra.MinimumNArgs(1),
		Long: `Import files in OpenMetrics or in Prometheus's text format, - for the standard input, and folders: a block of Prometheus or
its data directory. Samples may be of any age and in any order; where the shard has one of the same series and time, the
imported one stays. A file with an error in it imports nothing. The shard is made where it is missing.

  novacron metric shard import --dir metrics old.om
  novacron metric shard import --dir metrics /var/lib/prometheus/data`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withShard(func() (*shard.Shard, error) { return a.openShard(f, shard.Options{}) }, func(s *shard.Shard) error {
				for _, name := range args {
					if err := a.importOne(cmd.Context(), s, name, i, f); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
				}
				return s.Maintain(cmd.Context())
			})
		},
	}
	cmd.Flags().Var(&i.format, "format", "format of a text; auto: OpenMetrics where the file ends with # EOF")
	cmd.Flags().Var(&i.at, "time", "time of samples that have none")
	return cmd
}

func (a *app) importOne(ctx context.Context, s *shard.Shard, name string, i *importFlags, f *shardFlags) error {
	dir, err := a.shardFolder(f)
	if err != nil {
		return err
	}
	options := transfer.Options{Scratch: dir, Time: i.at.at, Now: a.io.Now(), Describe: func(name, kind, unit, help string) {
		s.Describe(name, shard.Description{Type: tsdb.MetricType(kind), Unit: unit, Help: help})
	}}
	if info, err := os.Stat(name); name != "-" && err == nil && info.IsDir() {
		return a.importBlocks(ctx, s, name, options)
	}
	in, format, done, err := a.openText(name, i.format.value)
	if err != nil {
		return err
	}
	defer done()
	report, err := transfer.Text(ctx, in, format, s.Durable(), options)
	if err != nil {
		return err
	}
	a.printImport(s, name, report)
	return nil
}

// printImport says what was imported, and what of it will not stay.
func (a *app) printImport(s *shard.Shard, name string, r transfer.Report) {
	a.printReport(name, "imported", r)
	retention, _ := s.Policies()
	keep := retention.Default.Raw
	since := a.io.Now().Add(-time.Duration(keep)).UnixMilli()
	if keep > 0 && r.Samples > 0 && r.MinTime < since {
		fmt.Fprintf(a.io.Err, "warning: samples before %s are older than the retention of %s and stay as windows alone, unless a rule keeps them: see `novacron metric shard retention`\n",
			milliseconds(since), keep)
	}
}

func (a *app) importBlocks(ctx context.Context, s *shard.Shard, dir string, options transfer.Options) error {
	blocks, err := transfer.PrometheusBlocks(dir)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		report, err := transfer.PrometheusBlock(ctx, b, s.Durable(), options)
		if err != nil {
			return err
		}
		a.printImport(s, b, report)
	}
	return nil
}

// openText opens a text and finds out its format.
func (a *app) openText(name, format string) (io.Reader, transfer.Format, func(), error) {
	if name == "-" {
		if format == "auto" {
			return nil, "", nil, usagef("the format of the standard input is not known: say --format openmetrics or prometheus")
		}
		return a.io.In, transfer.Format(format), func() {}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, "", nil, err
	}
	found := transfer.Format(format)
	if format == "auto" {
		if found, err = transfer.DetectFormat(file); err != nil {
			return nil, "", nil, errors.Join(err, file.Close())
		}
	}
	return file, found, func() { _ = file.Close() }, nil
}

// printReport says what was done, on stderr: stdout is for data.
func (a *app) printReport(name, done string, r transfer.Report) {
	text := fmt.Sprintf("%s: %s %d samples of %d series", name, done, r.Samples, r.Series)
	if r.Samples > 0 {
		text += fmt.Sprintf(", %s to %s", milliseconds(r.MinTime), milliseconds(r.MaxTime))
	}
	for _, what := range slices.Sorted(maps.Keys(r.LeftOut)) {
		text += fmt.Sprintf("; left out: %d %s", r.LeftOut[what], strings.ReplaceAll(what, "_", " "))
	}
	fmt.Fprintln(a.io.Err, clean(text))
}

// spanFlags choose series and a span of time.
type spanFlags struct {
	match    []string
	from, to instant
}

func (s *spanFlags) register(a *app, cmd *cobra.Command, what string) {
	s.from.now, s.to.now = a.io.Now, a.io.Now
	cmd.Flags().StringArrayVar(&s.match, "match", nil, "`selector` of the series to "+what+", may be given several times")
	cmd.Flags().Var(&s.from, "from", "first time (default the oldest)")
	cmd.Flags().Var(&s.to, "to", "last time (default the newest)")
}

func (s *spanFlags) bounds() (minT, maxT int64) {
	minT, maxT = math.MinInt64/4, math.MaxInt64/4
	if !s.from.at.IsZero() {
		minT = s.from.at.UnixMilli()
	}
	if !s.to.at.IsZero() {
		maxT = s.to.at.UnixMilli()
	}
	return minT, maxT
}

func (s *spanFlags) matchers() (lists []query.Selector, err error) {
	for _, text := range s.match {
		matchers, err := query.ParseSelector(text)
		if err != nil {
			return nil, usagef("--match: %w", err)
		}
		lists = append(lists, matchers)
	}
	return lists, nil
}

func (a *app) shardExport(f *shardFlags) *cobra.Command {
	var span spanFlags
	var to string
	format := choice{value: "openmetrics", allowed: []string{"openmetrics", "blocks"}}
	cmd := &cobra.Command{
		Use: "export", Short: "Write samples as OpenMetrics, or as blocks of Prometheus", Args: cobra.NoArgs,
		Long: `Write samples as OpenMetrics to the standard output or a file, or as blocks of Prometheus into a new folder. OpenMetrics has
no place for native histograms and stale markers, blocks have none for exemplars: what is left out is counted. A snapshot
has everything.

  novacron metric shard export --dir metrics --match 'vm_cpu_seconds_total{vm_name="web-1"}' --from -7d --file web-1.om
  novacron metric shard export --dir metrics --format blocks --file blocks`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lists, err := span.matchers()
			if err != nil {
				return err
			}
			if format.value == "blocks" && to == "" {
				return usagef("blocks are exported to a folder: name it by --file")
			}
			return withShard(func() (*shard.Shard, error) { return a.readShard(f) }, func(s *shard.Shard) error {
				options := transfer.ExportOptions{Match: lists, Describe: func(name string) (kind, unit, help string) {
					d := s.Description(name)
					return string(d.Type), d.Unit, d.Help
				}}
				options.MinTime, options.MaxTime = span.bounds()
				if format.value == "blocks" {
					return a.exportBlocks(cmd.Context(), s, to, options)
				}
				return a.export(cmd.Context(), s, to, options)
			})
		},
	}
	span.register(a, cmd, "export")
	cmd.Flags().StringVar(&to, "file", "", "`file` to write (default the standard output); of blocks, the folder")
	cmd.Flags().Var(&format, "format", "what to write")
	return cmd
}

func (a *app) exportBlocks(ctx context.Context, s *shard.Shard, to string, options transfer.ExportOptions) error {
	report, err := transfer.ExportBlocks(ctx, s.Engine(), to, options)
	if err != nil {
		return err
	}
	a.printReport(to, "exported", report)
	return nil
}

func (a *app) export(ctx context.Context, s *shard.Shard, to string, options transfer.ExportOptions) error {
	if to == "" {
		report, err := transfer.Export(ctx, s.Engine(), a.io.Out, options)
		if err == nil && len(report.LeftOut) > 0 {
			a.printReport("the standard output", "exported", report)
		}
		return err
	}
	file, err := createAtomic(to)
	if err != nil {
		return err
	}
	defer file.abandon()
	report, err := transfer.Export(ctx, s.Engine(), file, options)
	if err != nil {
		return err
	}
	a.printReport(to, "exported", report)
	return file.commit()
}
