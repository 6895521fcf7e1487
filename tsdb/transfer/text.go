package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// Format is a text format.
type Format string

// The formats.
const (
	OpenMetrics Format = "openmetrics"
	Prometheus  Format = "prometheus"
)

// endMark is the last line of a text in OpenMetrics.
const endMark = "# EOF"

// DetectFormat looks at the end of a file: that of OpenMetrics says so.
func DetectFormat(file *os.File) (Format, error) {
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file: say which format it has", file.Name())
	}
	tail := make([]byte, min(info.Size(), int64(len(endMark)+4)))
	if _, err := file.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return "", err
	}
	if strings.HasSuffix(strings.TrimSpace(string(tail)), endMark) {
		return OpenMetrics, nil
	}
	return Prometheus, nil
}

// TextError is a line that cannot be imported.
type TextError struct {
	Line int
	Text string
	Err  error
}

func (e *TextError) Error() string {
	return fmt.Sprintf("line %d, %.200q: %v; nothing was imported", e.Line, e.Text, e.Err)
}

func (e *TextError) Unwrap() error { return e.Err }

// maxLine bounds a line of a text.
const maxLine = 1 << 20

// Text imports a text. It is read once, with memory that grows with its series and not with its samples. An error in
// it is a *TextError: nothing is imported then.
func Text(ctx context.Context, in io.Reader, format Format, target Target, options Options) (Report, error) {
	options = options.withDefaults()
	t := &textReader{options: &options, format: format, spool: newSpool(target, &options), known: map[string]uint32{}}
	err := t.read(ctx, in)
	if err == nil {
		err = t.spool.blocks(ctx, &t.report)
	}
	return t.report, errors.Join(err, t.spool.close())
}

// textReader reads a text in pieces of whole lines.
type textReader struct {
	options *Options
	format  Format
	spool   *spool
	report  Report
	line    int // number of the first line of the piece
	ended   bool
	// known are series by how the text writes them.
	known map[string]uint32
	lset  labels.Labels
}

// pieceBytes is about how much is parsed at once.
const pieceBytes = 256 << 10

func (t *textReader) read(ctx context.Context, in io.Reader) error {
	if t.format != OpenMetrics && t.format != Prometheus {
		return fmt.Errorf("format %q: there are %s and %s", t.format, OpenMetrics, Prometheus)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	t.line = 1
	var piece []byte
	n := 0
	flush := func() error {
		if err := t.piece(piece); err != nil {
			return err
		}
		t.line += n
		piece, n = piece[:0], 0
		return ctx.Err()
	}
	for lines.Scan() {
		text := lines.Bytes()
		if t.ended {
			return &TextError{t.line + n, string(text), fmt.Errorf("there is more behind the end mark %q", endMark)}
		}
		if bytes.IndexByte(text, 0) >= 0 { // the parser would take it for the end of the piece
			return &TextError{t.line + n, string(text), errors.New("it has a byte 0: this is no text")}
		}
		if t.format == OpenMetrics && string(text) == endMark {
			t.ended = true
			n++
			continue
		}
		piece, n = append(append(piece, text...), '\n'), n+1
		if len(piece) >= pieceBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w (a line may have %d bytes)", t.line+n, err, maxLine)
	}
	if t.format == OpenMetrics && !t.ended {
		return fmt.Errorf("line %d: the text ends without %q: it was cut short; nothing was imported", t.line+n, endMark)
	}
	return flush()
}

// parser makes a parser, and returns the memory that its bytes lie in.
func (t *textReader) parser(piece []byte) (textparse.Parser, []byte) {
	piece = slices.Grow(piece, len(endMark)+2) // so that nobody moves it to append
	if t.format == OpenMetrics {
		piece = append(piece, endMark+"\n"...)
		return textparse.NewOpenMetricsParser(piece, labels.NewSymbolTable()), piece
	}
	return textparse.NewPromParser(piece, labels.NewSymbolTable(), false), piece
}

// piece reads whole lines.
func (t *textReader) piece(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	lines := bytes.Count(piece, []byte("\n"))
	err := t.parse(piece)
	if err == nil || lines == 1 {
		return t.place(err, piece)
	}
	if at, is := errors.AsType[*TextError](err); is {
		return at
	}
	return t.findFault(piece, err)
}

func (t *textReader) place(err error, piece []byte) error {
	if _, is := errors.AsType[*TextError](err); is || err == nil {
		return err
	}
	return &TextError{t.line, strings.TrimSpace(string(piece)), err}
}

// findFault looks for the line that the parser does not read: it does not tell. What it read before is read again,
// which changes nothing as nothing will be imported.
func (t *textReader) findFault(piece []byte, err error) error {
	first := t.line
	for text := range bytes.Lines(piece) {
		if fault := t.piece(bytes.Clone(text)); fault != nil {
			return fault
		}
		t.line++
	}
	return &TextError{first, "(and the lines behind it)", err} // a fault of lines together
}

func (t *textReader) parse(piece []byte) error {
	p, piece := t.parser(piece)
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch entry {
		case textparse.EntrySeries:
			if err := t.sample(p, piece); err != nil {
				return err
			}
		case textparse.EntryType, textparse.EntryUnit, textparse.EntryHelp:
			t.describe(p, entry)
		case textparse.EntryInvalid, textparse.EntryComment, textparse.EntryHistogram:
		}
	}
}

// describe tells types, units and help texts under the name that the samples have.
func (t *textReader) describe(p textparse.Parser, entry textparse.Entry) {
	var name []byte
	var kind, unit, help string
	switch entry {
	case textparse.EntryType:
		n, k := p.Type()
		name, kind = n, string(k)
	case textparse.EntryUnit:
		n, u := p.Unit()
		name, unit = n, string(u)
	default:
		n, h := p.Help()
		name, help = n, string(h)
	}
	if t.format == OpenMetrics {
		if kind == "counter" {
			t.options.Describe(string(name)+"_total", kind, unit, help)
			return
		}
		if kind == "" { // it is not known yet, or no longer, which type the metric has
			t.options.Describe(string(name)+"_total", "", unit, help)
		}
	}
	t.options.Describe(string(name), kind, unit, help)
}

func (t *textReader) sample(p textparse.Parser, piece []byte) error {
	text, at, v := p.Series()
	fail := func(err error) error {
		line, whole := lineAt(piece, text)
		return &TextError{t.line + line, whole, err}
	}
	id, err := t.series(p, text)
	if err != nil {
		return fail(err)
	}
	var ts int64
	switch {
	case at == nil && t.options.Time.IsZero():
		return fail(errors.New("the sample has no time: import needs one for it"))
	case at == nil:
		ts = t.options.Time.UnixMilli()
	default:
		if ts, err = t.exactTime(*at, piece, text); err != nil {
			return fail(err)
		}
	}
	if err := t.options.checkTime(ts); err != nil {
		return fail(err)
	}
	var e exemplar.Exemplar
	if p.Exemplar(&e) {
		t.report.leave(LeftExemplars, 1)
	}
	return t.spool.add(id, ts, v, t.options.Scratch)
}

// series is the number of a series that the text may have had before.
func (t *textReader) series(p textparse.Parser, text []byte) (uint32, error) {
	if id, known := t.known[string(text)]; known {
		return id, nil
	}
	p.Labels(&t.lset)
	lset := t.lset.Copy()
	if err := t.options.checkLabels(lset); err != nil {
		return 0, err
	}
	id := t.spool.id(lset)
	t.known[string(text)] = id
	return id, nil
}

// lineAt is the number, from 0, and the text of the line in a piece that a part of it is in.
func lineAt(piece, part []byte) (int, string) {
	at := cap(piece) - cap(part) // both reach to the end of the same memory
	if at < 0 || at > len(piece) {
		return 0, string(part)
	}
	end := bytes.IndexByte(piece[at:], '\n')
	if end < 0 {
		end = len(piece) - at
	}
	start := bytes.LastIndexByte(piece[:at], '\n') + 1
	return bytes.Count(piece[:at], []byte("\n")), string(piece[start : at+end])
}

// exactTime reads the time of a sample in OpenMetrics again, in whole milliseconds: the parser makes it a number of
// seconds and cuts off what multiplying leaves, so that 1.001 s can become 1000 ms.
func (t *textReader) exactTime(parsed int64, piece, series []byte) (int64, error) {
	if t.format != OpenMetrics {
		return parsed, nil
	}
	at := cap(piece) - cap(series) + len(series)
	end := bytes.IndexByte(piece[at:], '\n')
	fields := strings.Fields(string(piece[at : at+end]))
	if len(fields) < 2 {
		return parsed, nil
	}
	seconds, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0, fmt.Errorf("the time %.60q is no number of seconds", fields[1])
	}
	return int64(math.Round(seconds * 1000)), nil
}
