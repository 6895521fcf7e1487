package forward

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childDir names, in the environment of a process that is to be killed, the folder of its set, and childURL its target.
const childDir, childURL, childFrom = "NOVACRON_FORWARD_DIR", "NOVACRON_FORWARD_URL", "NOVACRON_FORWARD_FROM"

// A round of such a process is small.
const killSamples, killShards = 500, 4

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	m.Run() // whose result the caller takes
}

// child stores until it is killed, and says what is stored. Without a place to start from it only sends what it has.
func child(dir string) {
	set, err := Open(Options{Dir: dir, Limits: Limits{Samples: killSamples, Age: time.Millisecond, Shards: killShards, MinPause: time.Millisecond, Flush: time.Minute}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	set.Configure([]Target{{Name: "t", ID: 1, URL: os.Getenv(childURL), QueueBytes: 1 << 30}})
	from, err := strconv.ParseInt(os.Getenv(childFrom), 10, 64)
	if err != nil {
		if err := set.Close(context.Background()); err != nil {
			panic(err)
		}
		return
	}
	for t := from; ; t++ {
		set.Stored(floats(20, t))
		fmt.Fprintln(os.Stdout, t)
	}
}

// server is a remote on a port that fails now and then.
func (r *remote) server(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		response, err := r.RoundTrip(request)
		if err != nil {
			return // who asked was killed
		}
		for name, values := range response.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(response.StatusCode)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestKilledAtAnyTime kills a process that stores and sends, again and again: what it said is stored arrives, and what
// arrives twice is of the round that was under way.
func TestKilledAtAnyTime(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	r := &remote{about: map[string]string{}, answer: func(n, _ int, _ context.Context) *http.Response {
		if n%13 == 0 {
			return respond(503, "")
		}
		return accepted()
	}}
	url, dir, random := r.server(t), t.TempDir(), rand.New(rand.NewPCG(1, 2))
	last := int64(0)
	for range 12 {
		last = max(last, killed(t, dir, url, last+1, time.Duration(random.IntN(120))*time.Millisecond))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	rest := exec.CommandContext(ctx, os.Args[0])
	rest.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+url)
	require.NoError(t, rest.Run())

	times := map[got]int{}
	twice := 0
	for _, one := range r.all() {
		if times[one]++; times[one] > 1 {
			twice++
		}
	}
	require.Positive(t, last)
	for at := int64(1); at <= last; at++ {
		for _, want := range sent(floats(20, at).Points) {
			require.Positive(t, times[want], "%v was stored and did not arrive", want)
		}
	}
	t.Logf("%d batches of 20 stored under 12 kills; %d samples arrived twice", last, twice)
	require.LessOrEqual(t, twice, 12*(killShards*killSamples+20), "more than a round was sent again")
}

// killed runs a process that stores from a time on, kills it, and tells the last time that it said was stored.
func killed(t *testing.T, dir, url string, from int64, after time.Duration) (last int64) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+url, childFrom+"="+strconv.FormatInt(from, 10))
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	lines := bufio.NewScanner(out)
	var kill <-chan time.Time
	for lines.Scan() {
		if kill == nil { // it has begun
			kill = time.After(after)
		}
		last, err = strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // the last line was cut
		}
		select {
		case <-kill:
			require.NoError(t, command.Process.Kill())
			kill = make(chan time.Time)
		default:
		}
	}
	_ = command.Wait() // it was killed
	return last
}
