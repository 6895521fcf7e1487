package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	frames      = "|/-\\"
	redrawEvery = 120 * time.Millisecond
)

// progress tells how far a long piece of work is: one line that changes in place on a terminal, and elsewhere a line for
// every change.
type progress struct {
	out   io.Writer
	tty   bool
	width func() int
	start time.Time
	quit  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	text  string
	frame int
}

func (a *app) newProgress() *progress {
	p := &progress{out: a.io.Err, tty: a.io.ErrTTY, width: a.io.Width, start: time.Now(), quit: make(chan struct{})}
	if p.tty {
		p.ended.Go(p.spin)
	}
	return p
}

// set tells what is going on now.
func (p *progress) set(text string) {
	text = clean(text)
	p.mu.Lock()
	defer p.mu.Unlock()
	if text == p.text {
		return
	}
	p.text = text
	if p.tty {
		p.draw()
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// note tells what only a moving line can follow, such as a percentage.
func (p *progress) note(text string) {
	if p.tty {
		p.set(text)
	}
}

// elapsed is how long the work has taken so far.
func (p *progress) elapsed() time.Duration { return time.Since(p.start) }

// stop ends the line; on a terminal it leaves no trace.
func (p *progress) stop() {
	close(p.quit)
	p.ended.Wait()
	if p.tty {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *progress) spin() {
	ticks := time.NewTicker(redrawEvery)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			p.mu.Lock()
			p.frame++
			p.draw()
			p.mu.Unlock()
		case <-p.quit:
			return
		}
	}
}

// draw needs the lock.
func (p *progress) draw() {
	if p.text == "" {
		return
	}
	line := fmt.Sprintf("%c %s (%s)", frames[p.frame%len(frames)], p.text, formatSpan(p.elapsed()))
	fmt.Fprintf(p.out, "\r\x1b[K%s", cut(line, p.width()-1))
}

// cut keeps a line from wrapping, which would leave its first half on the screen; a width below 1 is unknown.
func cut(line string, width int) string {
	runes := []rune(line)
	if width < 1 || len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}
