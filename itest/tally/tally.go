package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
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

// tally counts tests and keeps the output of those that run. It is safe for concurrent use.
type tally struct {
	mu                      sync.Mutex // guards all below
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
func (t *tally) failedPackages() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.broken > 0
}

// say prints a line of our own.
func (t *tally) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format, args...)
}

// read takes the events of one run, and tells whether a package of it failed. Lines that are no events are shown as they are.
func (t *tally) read(r io.Reader) (broken bool, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" && t.line(line) {
			broken = true
		}
		if err == io.EOF {
			return broken, nil
		}
		if err != nil {
			return broken, err
		}
	}
}

// line takes one event, and tells whether it is that of a package that failed.
func (t *tally) line(line string) (broken bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(t.out, line)
		return false
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
		return e.Action == "fail"
	}
	return false
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
	delete(t.faults, e.Package) // it may run again
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
	t.say("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
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
