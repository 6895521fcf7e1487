package forwards

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/novacron/novacron/agent/collect/custom"
	agentv1 "github.com/novacron/novacron/proto/agent/v1"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

const (
	dialTimeout = 10 * time.Second
	idleTimeout = 90 * time.Second
	// maxConnections is how many requests there can be at one time to one remote.
	maxConnections = 16
	maxHeaderBytes = 64 << 10
)

// connect makes how a remote is reached, and how each request proves who we are. A reference to a secret is followed
// anew each time, so that it can be renewed.
func connect(want *agentv1.MetricForwardJob) (*http.Transport, func(*http.Request) error, error) {
	spec := want.GetSpec()
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if pem := spec.GetCaPem(); pem != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, nil, errors.New("the certificates that vouch for the remote are no PEM: give them again with --ca-file")
		}
	}
	secret := secretOf(want)
	login := custom.Login{User: spec.GetUsername(), Secret: secret}
	if spec.GetClientCertificate() {
		login = custom.Login{}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair(secret) }
	}
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext, TLSClientConfig: config, TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: maxConnections, IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeaderBytes,
	}, login.Sign, nil
}

// pair is our certificate with its key, which are in one text.
func pair(secret custom.Secret) (*tls.Certificate, error) {
	text, err := secret.Read("our certificate and key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("our certificate and key: %w: the secret has to be both in PEM, one after the other", err)
	}
	return &pair, nil
}

func secretOf(want *agentv1.MetricForwardJob) custom.Secret {
	switch ref := want.GetSpec().GetCredential().GetReference().(type) {
	case *novacronv1.MetricCredential_File:
		return custom.Secret{File: ref.File}
	case *novacronv1.MetricCredential_Environment:
		return custom.Secret{Env: ref.Environment}
	case *novacronv1.MetricCredential_Sealed:
		return custom.Secret{Value: want.GetSecret()}
	}
	return custom.Secret{}
}
