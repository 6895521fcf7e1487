package cli

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/novacron/novacron/tsdb/display"
	"github.com/novacron/novacron/tsdb/display/terminal"
	"github.com/novacron/novacron/tsdb/query"
	"github.com/spf13/cobra"
)

// outPlot draws an answer in the terminal; only queries have it.
const outPlot = "plot"

const showHelp = `
With -o plot the answer is drawn: lines over time, bars for one time, heatmaps of histograms, or what --view says. --format writes what
charts and notebooks read. --max-points leaves out of lines what such a chart cannot show.

  … --range 6h --format uplot --max-points 800 --file chart.json
  … --range 30d --step 1h --format parquet --file month.parquet
  … --range 1d -o plot --view state`

// showFlags say how an answer is shown.
type showFlags struct {
	output, format, view choice
	file                 string
	maxPoints, top       int
	width, height        int
	ascii                bool
}

func newShowFlags() showFlags {
	return showFlags{
		output: choice{value: outTable, allowed: []string{outTable, outWide, outJSON, outYAML, outCSV, outPlot}},
		format: choice{allowed: display.Formats()},
		view:   choice{value: string(display.Auto), allowed: display.Views()},
	}
}

func (f *showFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.VarP(&f.output, "output", "o", "output format")
	flags.Var(&f.format, "format", "`format` for charts and files: "+alternatives(display.Formats()))
	flags.Var(&f.view, "view", "`kind` of picture for --format and -o plot: "+alternatives(display.Views()))
	flags.IntVar(&f.maxPoints, "max-points", 0, "the most `points` of a line with --format, such as a chart's width in pixels; 0 for all")
	flags.IntVar(&f.top, "top", 0, "the most `series` of a plot, or bars of --format; 0: what there is room for")
	flags.StringVar(&f.file, "file", "", "write to this `file`, once the answer is whole")
	flags.IntVar(&f.width, "width", 0, "`columns` of a plot (default $COLUMNS, those of the terminal, or 80)")
	flags.IntVar(&f.height, "height", 0, "`lines` of a plot (default what the terminal has room for)")
	flags.BoolVar(&f.ascii, "ascii", false, "draw with ASCII alone")
}

// check refuses flags that do not go together, and takes over the output format of the query.
func (f *showFlags) check(a *app, cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if changed("output") {
		a.output.value = f.output.value
	}
	plot := a.output.value == outPlot
	switch {
	case changed("format") && changed("output"):
		return usagef("--format and --output exclude each other: say one of them")
	case changed("view") && !plot && f.format.value == "":
		return usagef("--view goes with --format or -o plot")
	case (changed("ascii") || changed("width") || changed("height")) && !plot:
		return usagef("--ascii, --width and --height go with -o plot")
	case f.format.value == string(display.Parquet) && f.file == "" && a.io.OutTTY:
		return usagef("parquet is no text: name a --file, or send the output elsewhere")
	case f.maxPoints < 0 || f.top < 0 || f.width < 0 || f.height < 0:
		return usagef("--max-points, --top, --width and --height are numbers from 0")
	}
	if f.format.value != "" {
		if err := f.options().Check(); err != nil {
			return usageError{err, ""}
		}
	}
	return nil
}

func (f *showFlags) options() display.Options {
	return display.Options{Format: display.Format(f.format.value), View: display.View(f.view.value), MaxPoints: f.maxPoints, Top: f.top}
}

// points are about how many the answer can show.
func (f *showFlags) points(a *app) int {
	switch {
	case f.maxPoints > 0:
		return f.maxPoints
	case a.output.value == outPlot:
		return 2 * f.plotWidth(a)
	}
	return autoPoints
}

// display is an answer as it is shown.
func (q question) display(rows []query.Row, said notes) display.Answer {
	return display.Answer{
		Rows: rows, Instant: q.instant, Step: q.times.Step.Milliseconds(), Unit: query.UnitOf(q.expr), Warnings: said.warnings, Infos: said.infos,
	}
}

func (a *app) printShown(f *showFlags, answer display.Answer) error {
	switch {
	case f.format.value != "":
		return display.Render(a.io.Out, answer, f.options())
	case a.output.value == outPlot:
		err := terminal.Draw(a.io.Out, answer, f.drawing(a))
		if errors.Is(err, terminal.ErrEmpty) {
			fmt.Fprintln(a.io.Err, "no values")
			return nil
		}
		return err
	}
	return a.printValues(answer.Rows)
}

func (f *showFlags) drawing(a *app) terminal.Options {
	return terminal.Options{
		View: display.View(f.view.value), Width: f.plotWidth(a), Height: f.plotHeight(a), Top: f.top, ASCII: f.ascii || !a.unicode(),
		Colour: a.io.OutTTY && a.io.Env("NO_COLOR") == "" && a.io.Env("TERM") != "dumb",
	}
}

func (f *showFlags) plotWidth(a *app) int {
	width, _ := a.io.Size()
	columns, _ := strconv.Atoi(a.io.Env("COLUMNS"))
	return firstPositive(f.width, columns, width, 80)
}

// plotHeight leaves room for the legend and the prompt.
func (f *showFlags) plotHeight(a *app) int {
	const legend, usual, most = 14, 16, 24
	_, height := a.io.Size()
	lines, _ := strconv.Atoi(a.io.Env("LINES"))
	if height = firstPositive(lines, height, usual+legend); f.height > 0 {
		return f.height
	}
	return min(most, height-legend)
}

func firstPositive(numbers ...int) int {
	for _, n := range numbers {
		if n > 0 {
			return n
		}
	}
	return 0
}

// unicode tells whether the terminal shows more than ASCII. The console of Linux has no braille.
func (a *app) unicode() bool {
	if slices.Contains([]string{"dumb", "linux"}, a.io.Env("TERM")) {
		return false
	}
	locale := strings.ToLower(firstOf(a.io.Env("LC_ALL"), a.io.Env("LC_CTYPE"), a.io.Env("LANG")))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}

// into has something written to a file, which takes its place once all is written; without a name to the output.
func (a *app) into(file string, write func() error) error {
	if file == "" {
		return write()
	}
	f, err := createAtomic(file)
	if err != nil {
		return err
	}
	defer f.abandon()
	buffered := bufio.NewWriter(f)
	before := a.io
	defer func() { a.io = before }()
	a.io.Out, a.io.OutTTY = buffered, false
	if err := write(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.commit()
}
