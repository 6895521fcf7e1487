package custom

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(file, []byte("from a file\n"), 0o600))
	t.Setenv("SHOP_TOKEN", "from the environment")
	for want, s := range map[string]Secret{
		"from a file": {File: file}, "from the environment": {Env: "SHOP_TOKEN"}, "plain": {Value: []byte("plain")},
	} {
		got, err := s.text("the token")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	empty, large := filepath.Join(dir, "empty"), filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	require.NoError(t, os.WriteFile(large, make([]byte, maxSecret+1), 0o600))
	for says, s := range map[string]Secret{
		"no such file":                  {File: filepath.Join(dir, "none")},
		"is no regular file":            {File: dir},
		"is empty":                      {File: empty},
		"has more than 65536 bytes":     {File: large},
		"SHOP_NOTHING is not set where": {Env: "SHOP_NOTHING"},
		"it has control characters":     {Value: []byte("a\r\nX-Admin: 1")},
	} {
		_, err := s.text("the token")
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, "the token: ")
	}
	plain := Login{User: "me", Secret: Secret{Value: []byte("hunter2")}}
	text, err := json.Marshal(plain)
	require.NoError(t, err)
	for _, shown := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", plain, plain, plain.Secret, plain.Secret)} {
		require.NotContains(t, shown, "hunter2")
		require.NotContains(t, shown, "[104 117") // as numbers
	}
}

// TestLogin holds that a password or token is read again for each scrape.
func TestLogin(t *testing.T) {
	var got string
	url := target(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		text(textType, "a 1\n")(w, r)
	})
	file := filepath.Join(t.TempDir(), "password")
	c := scraper(t, Config{URL: url, Login: Login{User: "me", Secret: Secret{File: file}}})
	_, err := collectOnce(t, c)
	require.ErrorContains(t, err, "the login's secret: ")
	require.NoError(t, os.WriteFile(file, []byte("one\n"), 0o600))
	_, err = collectOnce(t, c)
	require.NoError(t, err)
	require.Equal(t, "Basic bWU6b25l", got)
	require.NoError(t, os.WriteFile(file, []byte("two\n"), 0o600))
	_, err = collectOnce(t, c)
	require.NoError(t, err)
	require.Equal(t, "Basic bWU6dHdv", got)
	_, err = collectOnce(t, scraper(t, Config{URL: url, Login: Login{Secret: Secret{Value: []byte("tok")}}}))
	require.NoError(t, err)
	require.Equal(t, "Bearer tok", got)
}

func TestConfig(t *testing.T) {
	for says, cfg := range map[string]Config{
		"job: it is empty":                   {URL: "http://h/"},
		`"ftp://h/" is no address`:           {Job: "j", URL: "ftp://h/"},
		`"h:9100" is no address`:             {Job: "j", URL: "h:9100"},
		"url: it cannot be read":             {Job: "j", URL: "http://h:secret pass/"},
		"url: it has a user":                 {Job: "j", URL: "http://me:hunter2@h/"},
		"one is negative":                    {Job: "j", URL: "http://h/", Timeout: -1},
		`labels: "a-b"`:                      {Job: "j", URL: "http://h/", Labels: map[string]string{"a-b": "c"}},
		`labels: "job"`:                      {Job: "j", URL: "http://h/", Labels: map[string]string{"job": "c"}},
		`labels: "__x"`:                      {Job: "j", URL: "http://h/", Labels: map[string]string{"__x": "c"}},
		"a certificate and its key":          {Job: "j", URL: "https://h/", TLS: TLS{Key: Secret{Env: "X"}}},
		`the user "me" has no password`:      {Job: "j", URL: "https://h/", Login: Login{User: "me"}},
		`fallback type "text"`:               {Job: "j", URL: "https://h/", FallbackType: "text"},
		"that vouch for the target: the":     {Job: "j", URL: "https://h/", TLS: TLS{CA: Secret{Env: "SHOP_NOTHING"}}},
		"(secret) has no certificate in PEM": {Job: "j", URL: "https://h/", TLS: TLS{CA: Secret{Value: []byte("x")}}},
		"no regular file":                    {Job: "j", URL: "https://h/", TLS: TLS{CA: Secret{File: "/"}}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "hunter2")
		require.NotContains(t, err.Error(), "secret pass")
	}
	for url, instance := range map[string]string{"http://h/m": "h:80", "https://h": "h:443", "http://[::1]:9/": "[::1]:9", "http://h:9100": "h:9100"} {
		c, err := New(Config{Job: "j", URL: url})
		require.NoError(t, err)
		require.Equal(t, instance, c.target["instance"])
	}
}

// pair makes a certificate and its key, in PEM.
func pair(t *testing.T, name string) (certificate, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), NotBefore: time.Now().Add(-time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		text(textType, "client{name=\""+name+"\"} 1\n")(w, r)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	scrape := func(tls TLS) (string, error) {
		c := scraper(t, Config{URL: server.URL, TLS: tls})
		got, err := collectOnce(t, c)
		if err != nil {
			return "", err
		}
		return got[0].Labels["name"], nil
	}
	_, err := scrape(TLS{})
	require.ErrorContains(t, err, "certificate")
	who, err := scrape(TLS{Insecure: true})
	require.NoError(t, err)
	require.Equal(t, "nobody", who)
	who, err = scrape(TLS{CA: Secret{Value: ca}})
	require.NoError(t, err)
	require.Equal(t, "nobody", who)
	_, err = scrape(TLS{CA: Secret{Value: ca}, ServerName: "another.example"})
	require.ErrorContains(t, err, "another.example")

	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	renew := func(name string) {
		certificate, key := pair(t, name)
		require.NoError(t, os.WriteFile(certFile, certificate, 0o600))
		require.NoError(t, os.WriteFile(keyFile, key, 0o600))
	}
	renew("first")
	ours := TLS{CA: Secret{Value: ca}, Certificate: Secret{File: certFile}, Key: Secret{File: keyFile}}
	c := scraper(t, Config{URL: server.URL, TLS: ours})
	got, err := collectOnce(t, c)
	require.NoError(t, err)
	require.Equal(t, "first", got[0].Labels["name"])
	renew("second")
	require.NoError(t, c.Close())
	got, err = collectOnce(t, c)
	require.NoError(t, err)
	require.Equal(t, "second", got[0].Labels["name"], "a new connection takes the renewed certificate")
	require.NoError(t, os.WriteFile(keyFile, []byte("no key"), 0o600))
	_, err = scrape(ours)
	require.ErrorContains(t, err, "our certificate (file "+certFile+")")
	require.ErrorContains(t, err, "PEM")
}

func TestNoDowngrade(t *testing.T) {
	plain := target(t, text(textType, "a 1\n"))
	server := httptest.NewTLSServer(http.RedirectHandler(plain, http.StatusFound))
	t.Cleanup(server.Close)
	_, err := collectOnce(t, scraper(t, Config{URL: server.URL, TLS: TLS{Insecure: true}}))
	require.ErrorContains(t, err, "redirects from https to http://")
}
