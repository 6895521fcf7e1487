package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// victoriaProgram is Debian's; deploy/setup.sh --bench installs it.
const victoriaProgram = "victoria-metrics"

// victoria is a server on loopback with its own options but for the limits of large answers. What is counted is the
// time that the server takes, which holds that of HTTP and JSON both ways; the samples of four scrapes come in one
// request, so that it reads the labels once for four.
type victoria struct {
	dir     string
	w       *workload
	procs   int
	client  http.Client
	server  *exec.Cmd
	address string
	bodies  map[int]*bytes.Buffer // of hosts
	metrics map[int][][]byte      // the labels as JSON, of hosts
	earlier time.Duration         // that servers before this one took
}

func openVictoria(dir string, w *workload, j job) (store, error) {
	v := &victoria{dir: dir, w: w, procs: j.Procs, client: http.Client{Timeout: 10 * time.Minute}, bodies: map[int]*bytes.Buffer{}, metrics: map[int][][]byte{}}
	return v, v.start()
}

func (v *victoria) start() error {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	v.address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	v.server = exec.CommandContext(context.Background(), victoriaProgram, "-storageDataPath="+v.dir, "-httpListenAddr="+v.address, "-retentionPeriod=100y", "-loggerLevel=ERROR",
		"-search.maxUniqueTimeseries=3000000", "-search.maxExportSeries=3000000", "-search.maxSeries=3000000", "-search.maxSamplesPerQuery=4000000000",
		"-search.maxPointsPerTimeseries=1000000", "-search.latencyOffset=0s", "-search.maxQueryDuration=10m")
	v.server.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", v.procs))
	v.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	v.server.Stderr = os.Stderr
	if err := v.server.Start(); err != nil {
		return err
	}
	return v.await(func() (bool, error) {
		_, err := v.call("/health", nil, io.Discard)
		return err == nil, nil
	})
}

// await asks until something is so.
func (v *victoria) await(so func() (bool, error)) error {
	deadline := time.After(5 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes, err := so(); yes || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("%s on %s does not get there within 5 minutes", victoriaProgram, v.address)
		}
	}
}

// call posts a form and copies the answer.
func (v *victoria) call(path string, form url.Values, to io.Writer) (int64, error) {
	return v.post(path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), to)
}

func (v *victoria) post(path, kind string, body io.Reader, to io.Writer) (int64, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+v.address+path, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", kind)
	response, err := v.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return 0, fmt.Errorf("%s%s: %s: %s", v.address, path, response.Status, text)
	}
	return io.Copy(to, response.Body)
}

// prepare writes the lines of /api/v1/import, one for each series. It is not called by two at one time.
func (v *victoria) prepare(s *scrapes) error {
	metrics, err := v.metricsOf(s.host)
	if err != nil {
		return err
	}
	if v.bodies[s.host] == nil {
		v.bodies[s.host] = &bytes.Buffer{}
	}
	body := v.bodies[s.host].AvailableBuffer()[:0]
	for j, metric := range metrics {
		body = append(append(append(body, `{"metric":`...), metric...), `,"values":[`...)
		for i := range s.times {
			body = strconv.AppendFloat(body, s.values[i][j], 'f', -1, 64)
			body = append(body, ',')
		}
		body = append(body[:len(body)-1], `],"timestamps":[`...)
		for _, at := range s.times {
			body = append(strconv.AppendInt(body, at, 10), ',')
		}
		body = append(body[:len(body)-1], "]}\n"...)
	}
	v.bodies[s.host] = bytes.NewBuffer(body)
	return nil
}

func (v *victoria) metricsOf(host int) ([][]byte, error) {
	if v.metrics[host] != nil {
		return v.metrics[host], nil
	}
	made := make([][]byte, v.w.perHost)
	for j := range made {
		text, err := json.Marshal(v.w.labels(host, j).Map())
		if err != nil {
			return nil, err
		}
		made[j] = text
	}
	v.metrics[host] = made
	return made, nil
}

func (v *victoria) append(s *scrapes) error {
	_, err := v.post("/api/v1/import", "application/json", bytes.NewReader(v.bodies[s.host].Bytes()), io.Discard)
	return err
}

func (v *victoria) maintain(int64) error { return nil }

func (v *victoria) show() error {
	_, err := v.call("/internal/force_flush", nil, io.Discard)
	return err
}

// settle merges everything into one part and waits for it.
func (v *victoria) settle(int64) error {
	if err := v.show(); err != nil {
		return err
	}
	if _, err := v.call("/internal/force_merge", nil, io.Discard); err != nil {
		return err
	}
	return v.await(func() (bool, error) {
		var text bytes.Buffer
		if _, err := v.call("/metrics", nil, &text); err != nil {
			return false, err
		}
		_, rest, found := strings.Cut(text.String(), "vm_active_force_merges ")
		if !found {
			return false, errors.New("the server does not tell its forced merges")
		}
		return strings.HasPrefix(rest, "0"), nil
	})
}

// reopen ends when the server answers again.
func (v *victoria) reopen() error {
	if err := v.stop(); err != nil {
		return err
	}
	return v.start()
}

func (v *victoria) stop() error {
	if err := v.server.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	err := v.server.Wait()
	v.earlier += v.server.ProcessState.UserTime() + v.server.ProcessState.SystemTime()
	return err
}

// form is the series and the bounds of a question, in milliseconds as the server wants them: seconds with decimals.
func form(key string, minT, maxT int64, ms []*labels.Matcher) url.Values {
	var text []string
	for _, m := range ms {
		text = append(text, m.String())
	}
	return url.Values{key: {"{" + strings.Join(text, ",") + "}"}, "start": {seconds(minT)}, "end": {seconds(maxT)}}
}

func seconds(t int64) string { return strconv.FormatFloat(float64(t)/1000, 'f', 3, 64) }

// drain counts the samples that /api/v1/export sends, and how many there are by the commas between them.
func (v *victoria) drain(minT, maxT int64, ms []*labels.Matcher) (int, error) {
	return v.count("/api/v1/export", form("match[]", minT, maxT, ms), func(line []byte) int {
		_, times, _ := bytes.Cut(line, []byte(`"timestamps":[`))
		return bytes.Count(times, []byte(",")) + 1
	})
}

func (v *victoria) find(minT, maxT int64, ms []*labels.Matcher) (n int, err error) {
	var answer struct{ Data []json.RawMessage }
	err = v.decode("/api/v1/series", form("match[]", minT, maxT, ms), &answer)
	return len(answer.Data), err
}

func (v *victoria) query(expr string, start, end, step int64) (n int, err error) {
	var answer struct {
		Data struct {
			Result []struct{ Values []json.RawMessage }
		}
	}
	err = v.decode("/api/v1/query_range", url.Values{"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)}, "step": {fmt.Sprint(step, "ms")}, "nocache": {"1"}}, &answer)
	for _, series := range answer.Data.Result {
		n += len(series.Values)
	}
	return n, err
}

func (v *victoria) decode(path string, form url.Values, into any) error {
	var text bytes.Buffer
	if _, err := v.call(path, form, &text); err != nil {
		return err
	}
	return json.Unmarshal(text.Bytes(), into)
}

// count sums up what is in the lines of an answer.
func (v *victoria) count(path string, form url.Values, of func(line []byte) int) (n int, err error) {
	reader, writer := io.Pipe()
	go func() {
		_, err := v.call(path, form, writer)
		writer.CloseWithError(err)
	}()
	lines := bufio.NewReaderSize(reader, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += of(line)
	}
}

func (v *victoria) here() bool { return false }

func (v *victoria) cost() (time.Duration, error) {
	now, err := costOf(v.server.Process.Pid)
	return v.earlier + now, err
}

func (v *victoria) peak() (int64, error) { return peakOf(v.server.Process.Pid) }

func (v *victoria) bytes() (raw, windows int64, err error) {
	for _, part := range []string{"data", "indexdb"} {
		n, err := folder(filepath.Join(v.dir, part))
		if err != nil {
			return 0, 0, err
		}
		raw += n
	}
	return raw, 0, nil
}

func (v *victoria) close() error { return v.stop() }
