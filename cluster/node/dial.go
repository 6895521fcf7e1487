package node

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/novacron/novacron/cluster/direct"
	"github.com/novacron/novacron/cluster/pki"
	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// Limits of one connection to another member.
const (
	dialTimeout = 5 * time.Second
	// pingAfter and pingTimeout find a peer that is gone without a word, also under an open stream.
	pingAfter   = 5 * time.Second
	pingTimeout = 5 * time.Second
	// MaxMessageBytes is the largest message that any service takes.
	MaxMessageBytes = 4 << 20
)

// HTTPClient speaks HTTP/2 over the given TLS. Connections that fall silent are pinged and given up.
func HTTPClient(config *tls.Config) *http.Client {
	protocols := &http.Protocols{}
	protocols.SetHTTP2(true)
	return &http.Client{
		// A redirect would carry a call, and with it what it says, to a place that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:     config,
			DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: pingAfter}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			IdleConnTimeout:     time.Minute,
			Protocols:           protocols,
			HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		},
	}
}

// DirectClient is for calls to very many members at once, such as each question of metrics is. They may be made twice.
// What is more than a member has connections for goes by others.
func DirectClient(config *tls.Config, others *http.Client) *direct.Client {
	return &direct.Client{
		TLS: config, Others: others,
		Dial: (&net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: pingAfter, Interval: pingTimeout, Count: 2}}).DialContext,
	}
}

// URL is the base of a member's API.
func URL(address string) string { return "https://" + address }

// RoleFromProto gives the certificate role of an API role.
func RoleFromProto(role novacronv1.Role) (pki.Role, error) {
	for name, number := range roles() {
		if number == role {
			return name, nil
		}
	}
	return "", fmt.Errorf("role %s: must be %s", role, pki.RoleNames())
}

// RoleToProto gives the API role of a certificate role.
func RoleToProto(role pki.Role) novacronv1.Role { return roles()[role] }

func roles() map[pki.Role]novacronv1.Role {
	return map[pki.Role]novacronv1.Role{
		pki.RoleController: novacronv1.Role_ROLE_CONTROLLER, pki.RoleAgent: novacronv1.Role_ROLE_AGENT,
		pki.RoleAdmin: novacronv1.Role_ROLE_ADMIN, pki.RoleViewer: novacronv1.Role_ROLE_VIEWER,
		pki.RoleOperator: novacronv1.Role_ROLE_OPERATOR, pki.RoleMetricsWriter: novacronv1.Role_ROLE_METRICS_WRITER,
		pki.RoleMetricsReader: novacronv1.Role_ROLE_METRICS_READER,
	}
}
