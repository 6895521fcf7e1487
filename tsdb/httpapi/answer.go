package httpapi

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/novacron/novacron/tsdb/promjson"
)

// piece is how much of an answer is held before it is sent on. Until the first piece is full, an error can still take the
// place of the answer.
const piece = 32 << 10

// worthZip is the shortest answer that is compressed.
const worthZip = 1 << 10

// answer is one answer, which is sent piece by piece.
type answer struct {
	w    http.ResponseWriter
	buf  []byte
	sent bool // the head, and maybe more
	zips chan struct{}
	zip  *gzip.Writer
	// accepts says that the client takes gzip.
	accepts bool
	err     error // of sending; nothing more is sent after it
	plain   bool  // what is in buf is the body as such, and not JSON
	// contentType is that of the body; empty is JSON.
	contentType string
	points      promjson.Points
}

func newAnswer(w http.ResponseWriter, r *http.Request, zips chan struct{}) *answer {
	return &answer{w: w, zips: zips, accepts: acceptsGzip(r.Header.Values("Accept-Encoding"))}
}

// acceptsGzip reads Accept-Encoding.
func acceptsGzip(headers []string) bool {
	for _, header := range headers {
		for coding := range strings.SplitSeq(header, ",") {
			name, params, _ := strings.Cut(coding, ";")
			if name = strings.TrimSpace(name); !strings.EqualFold(name, "gzip") && name != "*" {
				continue
			}
			weight, has := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return !has || err == nil && q > 0
		}
	}
	return false
}

// begin writes what is before the data.
func (a *answer) begin() { a.buf = append(a.buf, `{"status":"success","data":`...) }

// finish writes what is after the data. Positions in annotations are those of the query, where there is one.
func (a *answer) finish(notes annotations.Annotations, query string) {
	const most = 10 // of each kind
	warnings, infos := notes.AsStrings(query, most, most)
	a.list(`,"warnings":`, warnings)
	a.list(`,"infos":`, infos)
	a.buf = append(a.buf, '}')
}

func (a *answer) list(field string, texts []string) {
	if len(texts) > 0 {
		a.buf = promjson.AppendStrings(append(a.buf, field...), texts)
	}
}

// data sends a whole answer.
func (a *answer) data(value any) error { return a.noted(value, nil) }

// noted sends a whole answer with notes.
func (a *answer) noted(value any, notes annotations.Annotations) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	a.begin()
	a.buf = append(a.buf, text...)
	a.finish(notes, "")
	return nil
}

// flow sends on what is in the buffer where it is a piece. Its error says that the client is gone.
func (a *answer) flow() error {
	if len(a.buf) < piece {
		return nil
	}
	return a.send()
}

func (a *answer) send() error {
	if a.err == nil {
		a.head(http.StatusOK)
		if a.zip != nil {
			_, a.err = a.zip.Write(a.buf)
		} else {
			_, a.err = a.w.Write(a.buf)
		}
	}
	a.buf = a.buf[:0]
	return a.err
}

// head sends the head, once.
func (a *answer) head(status int) {
	if a.sent {
		return
	}
	a.sent = true
	h := a.w.Header()
	if !a.plain {
		h.Set("Content-Type", cmp.Or(a.contentType, "application/json"))
		h.Set("Vary", "Accept-Encoding")
		a.compress(h)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	a.w.WriteHeader(status)
}

// compress chooses gzip where the client takes it and fewer answers than may be are being compressed.
func (a *answer) compress(h http.Header) {
	if !a.accepts || len(a.buf) < worthZip {
		return
	}
	select {
	case a.zips <- struct{}{}:
		a.zip, _ = gzip.NewWriterLevel(a.w, gzip.BestSpeed) // the level is a valid one
		h.Set("Content-Encoding", "gzip")
	default:
	}
}

// close sends what is left.
func (a *answer) close() error {
	err := a.send()
	if a.zip != nil && err == nil {
		err = a.zip.Close()
	}
	return err
}

// release gives back what the answer held.
func (a *answer) release() {
	if a.zip != nil {
		a.zip = nil
		<-a.zips
	}
}

// fail sends an error in place of the answer. Where a part of the answer is on its way, the connection is cut, so that
// nobody takes the part for the whole.
func (a *answer) fail(f *failure) {
	if a.sent {
		panic(http.ErrAbortHandler)
	}
	a.buf, a.plain = a.buf[:0], false
	a.w.Header().Del("Content-Encoding")
	text, _ := json.Marshal(struct { // of strings alone
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", f.kind.name, f.Error()})
	a.buf = append(a.buf, text...)
	a.head(f.kind.status)
	_ = a.close() // the client may be gone
}
