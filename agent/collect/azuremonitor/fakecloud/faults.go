package fakecloud

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// refuse answers with an error as the services write it.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(answer) // the client that hung up does not read it
}

// Times makes a fault answer so many times.
func Times(n int, fault Fault) Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || !fault(w, r) {
			return false
		}
		n--
		return true
	}
}

// On answers the calls of one API alone.
func On(api string, fault Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool { return apiOf(r) == api && fault(w, r) }
}

// Throttle answers that there are too many calls, and how many seconds to wait; 0 does not say.
func Throttle(seconds int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		if seconds > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
		refuse(w, http.StatusTooManyRequests, "TooManyRequests", "The request is being throttled.")
		return true
	}
}

// Fail answers with a status and a code.
func Fail(status int, code, message string) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, status, code, message)
		return true
	}
}

// HangUp ends the connection without an answer.
func HangUp() Fault {
	return func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }
}

// NeverAnswer holds the connection until the client goes.
func NeverAnswer() Fault {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // the server looks for the client's end only then
		<-r.Context().Done()
		return true
	}
}
