package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of «go test -json».
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build that failed
	Test       string
	Elapsed    float64
	Output     string
}

type testID struct{ pkg, test string }

// tally counts tests and keeps the output of those that run.
type tally struct {
	out                     io.Writer
	passed, failed, skipped int
	broken                  int // packages that failed
	output                  map[testID][]string
	faults                  map[string]int // failed tests by package
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, output: map[testID][]string{}, faults: map[string]int{}}
}

// failedPackages tells whether any package has failed, even one without a failed test.
func (t *tally) failedPackages() bool { return t.broken > 0 }

// read takes the events of one run. Lines that are no events are shown as they are.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			t.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *tally) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(t.out, line)
		return
	}
	switch {
	case e.Action == "output":
		id := testID{e.Package, e.Test}
		t.output[id] = append(t.output[id], e.Output)
	case e.Action == "build-output":
		fmt.Fprint(t.out, e.Output)
	case e.Test != "":
		t.test(e)
	default:
		t.pkg(e)
	}
}

func (t *tally) test(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped++
		fmt.Fprintf(t.out, "skip  %s %s: %s\n", short(e.Package), e.Test, reason(t.output[id]))
	case "fail":
		t.failed++
		t.faults[e.Package]++
		fmt.Fprintf(t.out, "FAIL  %s %s\n%s", short(e.Package), e.Test, strings.Join(t.output[id], ""))
	default:
		return
	}
	delete(t.output, id)
}

func (t *tally) pkg(e event) {
	switch e.Action {
	case "pass":
		fmt.Fprintf(t.out, "ok    %s %.1fs\n", short(e.Package), e.Elapsed)
	case "fail":
		t.brokenPackage(e)
	case "skip": // no tests
	default:
		return
	}
	for id := range t.output {
		if id.pkg == e.Package {
			delete(t.output, id)
		}
	}
}

// brokenPackage shows what no test owned up to: a panic, a race, a time limit, a build that failed.
func (t *tally) brokenPackage(e event) {
	t.broken++
	fmt.Fprintf(t.out, "FAIL  %s %.1fs\n", short(e.Package), e.Elapsed)
	if t.faults[e.Package] > 0 {
		return
	}
	t.failed++
	for id, lines := range t.output {
		if id.pkg == e.Package {
			fmt.Fprint(t.out, strings.Join(lines, ""))
		}
	}
}

func (t *tally) close() {
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
}

// short leaves out what all packages share.
func short(pkg string) string {
	if rest, ok := strings.CutPrefix(pkg, "github.com/novacron/novacron"); ok {
		return "." + rest
	}
	return pkg
}

// reason is what a skipped test said, on one line.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	return strings.Join(said, " ")
}
