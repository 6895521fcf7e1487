package custom

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// pushed is the answer to a push, in JSON.
type pushed struct {
	Stored int `json:"stored"`
	// Error says why the push as a whole came to nothing.
	Error   string       `json:"error,omitempty"`
	Refused int          `json:"refused"`
	First   []refusalOut `json:"first_refused,omitempty"`
}

type refusalOut struct {
	Index  int    `json:"index"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// PushHandler serves pushes of metrics: POST with an exposition or samples in JSON, plain or packed with gzip. All is
// stored or nothing, but for what only the shard can know; the answer is in JSON and lists what is refused.
//
// It answers 200 where all is stored, 400 where something is refused, 405, 413 and 415 where the body cannot be taken,
// and 503 with Retry-After where it should be sent again, which changes nothing of what is stored.
func (r *Receiver) PushHandler() http.Handler {
	queue := newSlots(r.Limits)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		code, out := http.StatusServiceUnavailable, pushed{Error: tooBusy + "; send it again"}
		if queue.enter(request.Context()) {
			defer queue.leave()
			code, out = r.push(w, request)
		}
		switch code {
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", retryAfter)
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", http.MethodPost)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(out) // nobody is left to tell
	})
}

func (r *Receiver) push(w http.ResponseWriter, request *http.Request) (code int, out pushed) {
	limits := r.Limits.withDefaults()
	if request.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, pushed{Error: "metrics are pushed by POST"}
	}
	body, err := unzip(w, request, limits.MaxBytes)
	if err != nil {
		return codeOf(err), pushed{Error: err.Error()}
	}
	metrics, err := Decode(body, request.Header.Get("Content-Type"), time.Now(), limits.MaxSamples)
	if err != nil {
		return codeOf(err), pushed{Error: err.Error()}
	}
	done, err := r.Push(request.Context(), metrics)
	out = pushed{Stored: done.Stored(), Refused: done.Refused}
	for _, one := range done.First {
		out.First = append(out.First, refusalOut{one.Index, metrics[one.Index].Name, string(one.Reason), one.Detail})
	}
	switch {
	case err != nil:
		out.Error = err.Error()
		return http.StatusServiceUnavailable, out
	case done.Retry:
		return http.StatusServiceUnavailable, out
	case done.Refused > 0:
		return http.StatusBadRequest, out
	}
	return http.StatusOK, out
}

// unzip reads a body and unpacks it, no further than allowed.
func unzip(w http.ResponseWriter, request *http.Request, most int64) ([]byte, error) {
	body, err := readBody(w, request, most)
	if err != nil {
		return nil, err
	}
	switch packed := request.Header.Get("Content-Encoding"); packed {
	case "", "identity":
		return body, nil
	case "gzip":
	default:
		return nil, fail(http.StatusUnsupportedMediaType, "the encoding %.60q is not taken: send gzip or none", packed)
	}
	in, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the body is not packed with gzip: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the body is not packed with gzip: %w", err)
	case int64(len(plain)) > most:
		return nil, fail(http.StatusRequestEntityTooLarge, "the body has more than %d bytes unpacked: send fewer samples at once", most)
	}
	return plain, nil
}
