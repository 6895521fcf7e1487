package forward

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// verdict is what becomes of a request.
type verdict int

const (
	// delivered: the remote has it.
	delivered verdict = iota
	// again: it is sent again after a while.
	again
	// refused: it can never be delivered.
	refused
	// older: the remote does not know the version; the one before is sent.
	older
)

// answer is what the remote said to a request.
type answer struct {
	verdict verdict
	// after is how long the remote wants to be left alone.
	after time.Duration
	// written are what it says it has of a request that it refused.
	written counts
	err     error
}

const (
	// maxText bounds what is read of a remote's text.
	maxText = 500
	// maxRetryAfter bounds how long a remote may ask to be left alone: a mistake of it must not stop us for good.
	maxRetryAfter = time.Hour
)

// judge makes of a response what to do. By the specification, 5xx and 429 are tried again and other 4xx never; 2.0 is
// answered by 415 where it is not known, or by a success without the counts that 2.0 has to tell, as receivers of 1.0 do
// that look at no type.
func judge(response *http.Response, version int, now time.Time) answer {
	switch code := response.StatusCode; {
	case code/100 == 2 && version == 2 && response.Header.Get(writtenHeader+"Samples-Written") == "":
		return answer{verdict: older, err: errors.New("it takes 2.0 without saying what it has written, as one does that knows 1.0 alone")}
	case code/100 == 2:
		return answer{verdict: delivered}
	case code == http.StatusUnsupportedMediaType && version == 2:
		return answer{verdict: older, err: said(response)}
	case code == http.StatusTooManyRequests || code/100 == 5:
		return answer{verdict: again, after: retryAfter(response.Header.Get("Retry-After"), now), err: said(response)}
	case code/100 == 4:
		return answer{verdict: refused, written: writtenOf(response.Header), err: said(response)}
	case code/100 == 3:
		return answer{verdict: again, err: fmt.Errorf("the remote redirects to %.200q (%s): write to that address, if it is right", shownLocation(response), response.Status)}
	default:
		return answer{verdict: again, err: said(response)}
	}
}

// writtenHeader begins the headers of 2.0 that count what was written.
const writtenHeader = "X-Prometheus-Remote-Write-"

func writtenOf(h http.Header) counts {
	read := func(what string) int64 {
		n, err := strconv.ParseInt(h.Get(writtenHeader+what+"-Written"), 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	return counts{floats: read("Samples"), histograms: read("Histograms"), exemplars: read("Exemplars")}
}

// said is what the remote answered, in its own words.
func said(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxText)) // the status counts
	if words := Clean(string(text)); words != "" {
		return fmt.Errorf("the remote answers %s: %s", response.Status, words)
	}
	return fmt.Errorf("the remote answers %s", response.Status)
}

func shownLocation(response *http.Response) string {
	location, err := response.Location()
	if err != nil {
		return ""
	}
	location.User, location.RawQuery, location.Fragment = nil, "", ""
	return location.String()
}

// retryAfter reads a header of seconds or of a time; 0 where there is none.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return min(max(0, time.Duration(seconds)*time.Second), maxRetryAfter)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}

// withoutURL drops the address, whose query may be secret.
func withoutURL(err error) error {
	if wrapped, is := errors.AsType[*url.Error](err); is {
		return wrapped.Err
	}
	return err
}
