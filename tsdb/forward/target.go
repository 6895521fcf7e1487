package forward

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/novacron/novacron/tsdb/query"
)

// Target is where what is stored is sent to.
type Target struct {
	// Name is a folder's, too: letters, digits and '-'.
	Name string
	// ID tells targets apart that had the same name one after the other: what was queued for one is not sent to another.
	ID  uint64
	URL string
	// Match are selectors in PromQL, of which one has to choose a series; none chooses all.
	Match []string
	// External are labels of every series that does not have them by itself.
	External map[string]string
	// Protocol is the newest version of remote write to speak: 1 or 2.
	Protocol int
	// Headers go with every request.
	Headers map[string]string
	// QueueBytes is the most that the queue may take of the disk: when it is full the oldest samples go.
	QueueBytes int64
	// QueueAge is how long a sample may wait to be read from the queue. One that was read is tried for as long again at
	// most: a request is given up once its newest sample is so old. 0 is for ever.
	QueueAge time.Duration
	// Problem says why nothing can be sent for now, such as a secret that cannot be had; samples are queued meanwhile.
	Problem string
	// Transport sends requests, nil means http.DefaultTransport; redirects are not followed. Authorise, where it is set,
	// signs each request.
	Transport http.RoundTripper
	Authorise func(*http.Request) error
	// Generation is another one whenever something of the target has changed.
	Generation uint64
}

// DefaultQueueBytes is the bound of a queue where nothing is said.
const DefaultQueueBytes = 1 << 30

func (t Target) withDefaults() Target {
	if t.QueueBytes == 0 {
		t.QueueBytes = DefaultQueueBytes
	}
	t.QueueBytes = max(t.QueueBytes, MinQueueBytes)
	if t.Protocol == 0 {
		t.Protocol = 2
	}
	return t
}

// same tells whether a target is the same generation of the same one.
func (t Target) same(o Target) bool {
	return t.ID == o.ID && t.Generation == o.Generation && t.Problem == o.Problem
}

// matcher reads the selectors.
func (t Target) matcher() (m matcher, err error) {
	for _, text := range t.Match {
		selector, err := query.ParseSelector(text)
		if err != nil {
			return nil, fmt.Errorf("forward %s: %w", t.Name, err)
		}
		m = append(m, selector)
	}
	return m, nil
}

func (t Target) check() (matcher, error) {
	if !isFolder(t.Name) {
		return nil, fmt.Errorf("forward %.80q: its name is no name of a folder", t.Name)
	}
	if t.Protocol < 1 || t.Protocol > 2 {
		return nil, fmt.Errorf("forward %s: protocol %d: this release speaks 1 and 2 of remote write", t.Name, t.Protocol)
	}
	return t.matcher()
}

func isFolder(name string) bool {
	odd := func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	return name != "" && len(name) <= 100 && !slices.ContainsFunc([]rune(name), odd)
}

// Limits bound how a target is sent to. The zero value is what is usual.
type Limits struct {
	// Samples and Bytes bound a request: 2,000 and 1 MiB before it is packed. Age is how long samples wait for a request
	// to be full: 5 s.
	Samples, Bytes int
	Age            time.Duration
	// Shards is the most requests at one time: 16.
	Shards int
	// Timeout bounds a request: 30 s.
	Timeout time.Duration
	// MinPause and MaxPause bound the pause before a request is sent again: 100 ms and 30 s.
	MinPause, MaxPause time.Duration
	// Flush is how long closing may send what is queued: 5 s.
	Flush time.Duration
	// Sync is the longest that what is queued may stay out of stable storage: 1 s.
	Sync time.Duration
}

func (l Limits) withDefaults() Limits {
	or(&l.Samples, 2000)
	or(&l.Bytes, 1<<20)
	or(&l.Age, 5*time.Second)
	or(&l.Shards, 16)
	or(&l.Timeout, 30*time.Second)
	or(&l.MinPause, 100*time.Millisecond)
	or(&l.MaxPause, 30*time.Second)
	or(&l.Flush, 5*time.Second)
	or(&l.Sync, time.Second)
	return l
}

func or[T comparable](field *T, usual T) {
	var zero T
	if *field == zero {
		*field = usual
	}
}
