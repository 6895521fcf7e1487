package custom

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// fetcher asks one target for its metrics.
type fetcher struct {
	cfg     Config
	address *url.URL
	client  *http.Client
	accept  string
	// size is that of the last body, which the next is likely to have.
	size atomic.Int64
}

const (
	maxRedirects   = 10
	maxHeaderBytes = 64 << 10
	userAgent      = "novacron"
)

func newFetcher(cfg Config, address *url.URL) (*fetcher, error) {
	config, err := cfg.TLS.config(cfg.Job)
	if err != nil {
		return nil, err
	}
	f := &fetcher{cfg: cfg, address: address, accept: acceptOf(cfg.NativeHistograms)}
	f.client = &http.Client{
		CheckRedirect: f.redirect,
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig: config, TLSHandshakeTimeout: cfg.Timeout, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Minute, MaxResponseHeaderBytes: maxHeaderBytes,
			DisableCompression: true, // unpacked here, where it is bounded
		},
	}
	return f, nil
}

// acceptOf prefers what tells most; names that PromQL would have to quote come with underscores.
func acceptOf(native bool) string {
	var all []string
	if native {
		all = append(all, typeProtobuf+";proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=underscores;q=0.6")
	}
	all = append(all,
		typeOpenMetrics+";version=1.0.0;escaping=underscores;q=0.5", typeOpenMetrics+";version=0.0.1;q=0.4",
		typeText+";version=1.0.0;escaping=underscores;q=0.3", typeText+";version=0.0.4;q=0.2", "*/*;q=0.1")
	return strings.Join(all, ",")
}

// redirect follows as Prometheus does, but never from https to http: what proves who we are would go unencrypted.
func (f *fetcher) redirect(next *http.Request, before []*http.Request) error {
	switch {
	case f.cfg.RefuseRedirects:
		return fmt.Errorf("it redirects to %s, which is switched off; scrape that address", shown(next.URL))
	case len(before) >= maxRedirects:
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	case before[len(before)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("it redirects from https to %s: scrape an address of https", shown(next.URL))
	}
	return nil
}

// shown is an address without what may be secret in it.
func shown(address *url.URL) string {
	plain := *address
	plain.User, plain.RawQuery, plain.Fragment = nil, "", ""
	return plain.String()
}

// answer is what a target said.
type answer struct {
	body        []byte
	contentType string
}

// fetch asks once. The context bounds all of it.
func (f *fetcher) fetch(ctx context.Context) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.address.String(), http.NoBody)
	if err != nil {
		return answer{}, fmt.Errorf("scrape %s: %w", shown(f.address), err)
	}
	request.Header.Set("Accept", f.accept)
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("User-Agent", userAgent)
	if deadline, has := ctx.Deadline(); has {
		request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(time.Until(deadline).Seconds(), 'f', -1, 64))
	}
	if err := f.cfg.Login.sign(request); err != nil {
		return answer{}, fmt.Errorf("scrape %s: %w", shown(f.address), err)
	}
	response, err := f.client.Do(request)
	if err != nil {
		f.cfg.Meter.Request("scrape", "none")
		return answer{}, fmt.Errorf("scrape %s: %w", shown(f.address), withoutURL(err))
	}
	defer response.Body.Close()
	f.cfg.Meter.Request("scrape", strconv.Itoa(response.StatusCode))
	if response.StatusCode != http.StatusOK {
		if response.StatusCode == http.StatusTooManyRequests {
			f.cfg.Meter.Throttled("scrape")
		}
		return answer{}, fmt.Errorf("scrape %s: the target answers %s%s", shown(f.address), response.Status, hint(response.StatusCode))
	}
	body, err := f.body(response)
	if err != nil {
		return answer{}, fmt.Errorf("scrape %s: %w", shown(f.address), err)
	}
	return answer{body, response.Header.Get("Content-Type")}, nil
}

// withoutURL drops the address, whose query may be secret.
func withoutURL(err error) error {
	if wrapped, is := errors.AsType[*url.Error](err); is {
		return wrapped.Err
	}
	return err
}

func hint(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": check the user, password, token or certificate of the source"
	case http.StatusNotFound:
		return ": is the path right? Most targets have /metrics"
	}
	return ""
}

// body reads and unpacks the whole answer.
func (f *fetcher) body(response *http.Response) ([]byte, error) {
	most := f.cfg.Limits.Bytes
	var in io.Reader = response.Body
	switch encoding := response.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		if response.ContentLength > most {
			return nil, tooLarge(most)
		}
	case "gzip":
		unpacked, err := gzip.NewReader(response.Body)
		if err != nil {
			return nil, fmt.Errorf("the body is not the gzip that it says it is: %w", err)
		}
		in = unpacked
	default:
		return nil, fmt.Errorf("the body is packed as %.40q, we asked for gzip", encoding)
	}
	all := bytes.NewBuffer(make([]byte, 0, f.size.Load()+bytes.MinRead))
	n, err := all.ReadFrom(io.LimitReader(in, most+1))
	switch {
	case n > most:
		return nil, tooLarge(most)
	case err != nil:
		return nil, fmt.Errorf("the body ended after %d bytes: %w", n, err)
	}
	f.size.Store(n)
	return all.Bytes(), nil
}

func tooLarge(most int64) error {
	return fmt.Errorf("the body has more than %d bytes unpacked; select fewer metrics at the target or raise the limit of the source", most)
}

// sign says who we are.
func (l Login) sign(request *http.Request) error {
	if l.Secret.isZero() {
		return nil
	}
	secret, err := l.Secret.text("the login's secret")
	if err != nil {
		return err
	}
	if l.User != "" {
		request.SetBasicAuth(l.User, secret)
	} else {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	return nil
}

// config is for the connection; nil leaves all as it is usual. Our certificate is read at each handshake, so that it can
// be renewed.
func (t TLS) config(job string) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		InsecureSkipVerify: t.Insecure, //nolint:gosec // where the user asks for it by name
	}
	if !t.CA.isZero() {
		text, err := t.CA.read("the certificates that vouch for the target")
		if err != nil {
			return nil, fmt.Errorf("scrape source %.80q: %w", job, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("scrape source %.80q: %v has no certificate in PEM", job, t.CA)
		}
	}
	if !t.Certificate.isZero() {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.pair() }
	}
	return config, nil
}

func (t TLS) pair() (*tls.Certificate, error) {
	certificate, err := t.Certificate.read("our certificate")
	if err != nil {
		return nil, err
	}
	key, err := t.Key.read("our key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("our certificate (%v) and key (%v): %w", t.Certificate, t.Key, err)
	}
	return &pair, nil
}
