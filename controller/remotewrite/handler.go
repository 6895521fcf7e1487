// Package remotewrite takes remote write of Prometheus for the whole cluster: each series goes to the shard of one host.
package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/snappy"
)

const (
	// Path is where agents take it, and controllers.
	Path = "/api/v1/write"
	// message2 is the name of the message of version 2.
	message2 = "io.prometheus.write.v2.Request"
	// storeTime bounds how long a host may take to store its part, bodyTime how long a request may take to come.
	storeTime = 15 * time.Second
	bodyTime  = 30 * time.Second
	// patience is how long a request waits for its turn, before anything of it is read.
	patience = 3 * time.Second
	// maxAnswer bounds what is read of a host's answer.
	maxAnswer = 8 << 10
	// retryAfter is what senders are asked to wait, in seconds.
	retryAfter = "5"
	// written begins the headers of version 2 that count what was stored.
	written = "X-Prometheus-Remote-Write-"
)

// Handler hands remote write to the hosts. Storing a sample twice changes nothing: what failed in part is sent again.
type Handler struct {
	// Hosts are those that are up.
	Hosts func() []Host
	// Sender names who sends: what has the same name has the same hosts.
	Sender func(*http.Request) string
	HTTP   *http.Client
	Logger *slog.Logger
	// MaxBytes bounds a request, packed and unpacked; 0 means 16 MiB. InFlight is how many requests are taken at once; 0 means
	// 4. Others wait for their turn, and are to be sent again after 3 s.
	MaxBytes int64
	InFlight int

	once  sync.Once
	slots chan struct{}
}

// ServeHTTP answers as the hosts do: 204 where all is stored, 400 where some never can be, 503 where it should be sent
// again.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() { h.slots = make(chan struct{}, or(h.InFlight, 4)) })
	turn := time.NewTimer(patience)
	defer turn.Stop()
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-turn.C:
		busy(w, "as many requests as are taken at once are under way")
		return
	case <-r.Context().Done():
		return
	}
	message, refused := h.read(w, r)
	if refused != nil {
		http.Error(w, refused.text, refused.code)
		return
	}
	hosts := chosen(h.Hosts(), h.Sender(r))
	if len(hosts) == 0 {
		busy(w, "no host is up to store metrics")
		return
	}
	all, err := split(versionOf(r), message, len(hosts), func(labels []string) int { return place(hosts, labels) })
	switch {
	case errors.Is(err, errShared):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		reply(w, h.store(r, hosts, all))
	}
}

func or[N int | int64](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}

func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, why+"; send it again", http.StatusServiceUnavailable)
}

// refusal is why a request is not read.
type refusal struct {
	code int
	text string
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// read unpacks a body. How large it is unpacked stands at its beginning: too much is never made room for.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	if packed := r.Header.Get("Content-Encoding"); packed != "" && packed != "snappy" {
		return nil, refuse(http.StatusUnsupportedMediaType, "the encoding %.60q is not taken: send snappy", packed)
	}
	most := or(h.MaxBytes, 16<<20)
	bounds := http.NewResponseController(w) // where it bounds nothing, the server's own limits have to do
	_ = bounds.SetReadDeadline(time.Now().Add(bodyTime))
	defer func() { _ = bounds.SetReadDeadline(time.Time{}) }()
	packed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes: send fewer samples at once", most)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body did not come whole: %v", err)
	}
	size, err := snappy.DecodedLen(packed)
	if err == nil && int64(size) > most {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has %d bytes unpacked, allowed are %d: send fewer samples at once", size, most)
	}
	message, err := snappy.Decode(nil, packed)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not packed with snappy: %v", err)
	}
	return message, nil
}

// versionOf is 2 where the content type says so. What it is else, the hosts judge.
func versionOf(r *http.Request) int {
	if _, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && params["proto"] == message2 {
		return 2
	}
	return 1
}

// stored is a host's answer to its part.
type stored struct {
	host   string
	code   int
	text   string
	header http.Header
}

// store sends all parts that have series at once; without any series the first host judges.
func (h *Handler) store(r *http.Request, hosts []Host, all parts) []stored {
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	answers := make([]stored, len(all.own))
	var sending sync.WaitGroup
	sent := false
	for i := range all.own {
		if all.own[i].series > 0 {
			sent = true
			sending.Go(func() { answers[i] = h.storeAt(ctx, r, hosts[i], all.of(i)) })
		}
	}
	if !sent {
		answers[0] = h.storeAt(ctx, r, hosts[0], all.of(0))
	}
	sending.Wait()
	return answers
}

func (h *Handler) storeAt(ctx context.Context, r *http.Request, host Host, message []byte) stored {
	failed := func(err error) stored {
		h.Logger.Debug("a host did not take its part of a remote write", "host", host.Name, "error", err)
		return stored{host: host.Name, code: http.StatusServiceUnavailable, text: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, host.URL+Path, bytes.NewReader(snappy.Encode(nil, message)))
	if err != nil {
		return failed(err)
	}
	for name, values := range r.Header {
		if name == "Content-Type" || name == "Content-Encoding" || strings.HasPrefix(name, written) {
			request.Header[name] = values
		}
	}
	response, err := h.HTTP.Do(request)
	if err != nil {
		return failed(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return failed(err)
	}
	return stored{host.Name, response.StatusCode, strings.TrimSpace(string(text)), response.Header}
}

// counted are the headers of version 2 that count what was stored.
var counted = []string{written + "Samples-Written", written + "Histograms-Written", written + "Exemplars-Written"}

// reply is one answer of all. What should be sent again goes before what never can be stored: sent again, it is refused
// again, and all else is stored.
func reply(w http.ResponseWriter, answers []stored) {
	sums := map[string]int{}
	worst := stored{code: http.StatusNoContent}
	for _, a := range answers {
		if weight(a.code) > weight(worst.code) {
			worst = a
		}
		for _, name := range counted {
			if n, err := strconv.Atoi(a.header.Get(name)); err == nil {
				sums[name] += n
			}
		}
	}
	for name, n := range sums {
		w.Header().Set(name, strconv.Itoa(n))
	}
	switch text := fmt.Sprintf("host %s: %s", worst.host, worst.text); weight(worst.code) {
	case fine:
		w.WriteHeader(http.StatusNoContent)
	case again:
		busy(w, text)
	default:
		http.Error(w, text, worst.code)
	}
}

// The weights of answers.
const (
	fine = iota
	never
	again
)

// weight takes for final only what judges the samples: a host that does not let us in may do so later.
func weight(code int) int {
	switch code {
	case 0, http.StatusOK, http.StatusNoContent: // 0 is of a host that nothing was sent to
		return fine
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return never
	default:
		return again
	}
}
