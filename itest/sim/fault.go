package sim

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// Fault answers in place of a server, which it may ask.
type Fault func(w http.ResponseWriter, r *http.Request, server http.Handler)

// Break gives the host's server a fault; nil mends it. Calls under way go on as they began.
func (h *Host) Break(fault Fault) {
	if fault == nil {
		h.fault.Store(nil)
		return
	}
	h.fault.Store(&fault)
}

func (h *Host) faulty(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := h.fault.Load(); fault != nil {
			(*fault)(w, r, server)
			return
		}
		server.ServeHTTP(w, r)
	})
}

// Hang takes calls and says nothing until the caller leaves. A server of HTTP/1.1 sees that once it has read what was asked.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // who has left asks nothing
	<-r.Context().Done()
}

// Fail answers with an error of HTTP.
func Fail(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	http.Error(w, "out of order", http.StatusInternalServerError)
}

// Garble answers with random bytes under the right names.
func Garble(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	bytes := make([]byte, 4096)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	bytes[0] = 0                                                // not compressed
	binary.BigEndian.PutUint32(bytes[1:], uint32(len(bytes)-5)) // one whole message, so that its content is read
	_, _ = w.Write(bytes)                                       // who has left hears nothing
}

// Stop sends the first bytes of the true answer, and breaks off.
func Stop(w http.ResponseWriter, r *http.Request, server http.Handler) {
	server.ServeHTTP(&limitedWriter{w, 40}, r)
	panic(http.ErrAbortHandler)
}

// limitedWriter drops what is beyond a number of bytes.
type limitedWriter struct {
	http.ResponseWriter
	left int
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	part := p[:min(len(p), w.left)]
	w.left -= len(part)
	if _, err := w.ResponseWriter.Write(part); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush sends what there is.
func (w *limitedWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Trickle sends the true answer a byte at a time, with a wait after each.
func Trickle(every time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		server.ServeHTTP(&slowWriter{w, r, every}, r)
	}
}

type slowWriter struct {
	http.ResponseWriter
	request *http.Request
	every   time.Duration
}

func (w *slowWriter) Write(p []byte) (int, error) {
	wait := time.NewTicker(w.every)
	defer wait.Stop()
	for i := range p {
		if _, err := w.ResponseWriter.Write(p[i : i+1]); err != nil {
			return i, err
		}
		w.Flush()
		select {
		case <-wait.C:
		case <-w.request.Context().Done():
			return i, w.request.Context().Err()
		}
	}
	return len(p), nil
}

// Flush sends what there is.
func (w *slowWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
