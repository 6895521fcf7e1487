package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// uriScheme marks the one URI SAN that carries an identity.
const uriScheme = "novacron"

// maxNameLen is the length of a DNS label: every name may become a host name.
const maxNameLen = 63

// Role says what the holder of a certificate may be in the cluster.
type Role string

// The roles. Controllers and agents are nodes and serve; the others are clients only. What writes metrics, such as a
// Prometheus, and what only asks for them, such as a dashboard, needs no more than a role of its own.
const (
	RoleController    Role = "controller"
	RoleAgent         Role = "agent"
	RoleAdmin         Role = "admin"
	RoleOperator      Role = "operator"
	RoleViewer        Role = "viewer"
	RoleMetricsWriter Role = "metrics-writer"
	RoleMetricsReader Role = "metrics-reader"
)

// Roles are all there are.
func Roles() []Role {
	return []Role{RoleController, RoleAgent, RoleAdmin, RoleOperator, RoleViewer, RoleMetricsWriter, RoleMetricsReader}
}

// RoleNames are the roles as people list them.
func RoleNames() string {
	names := make([]string, 0, len(Roles()))
	for _, r := range Roles() {
		names = append(names, string(r))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool {
	return slices.Contains(Roles(), r)
}

// IsNode reports whether r is a role that serves other nodes.
func (r Role) IsNode() bool { return r == RoleController || r == RoleAgent }

// Identity is who a certificate says its holder is.
type Identity struct {
	// ClusterID names the cluster; 1-63 of [A-Za-z0-9-], as are NodeID and Name.
	ClusterID string
	// NodeID never changes and is never reused; a UUID for nodes.
	NodeID string
	// Name is for people; the caller makes sure that it is unique.
	Name string
	Role Role
}

// String gives the identity as its URI, without the name.
func (id Identity) String() string { return id.uri().String() }

func (id Identity) uri() *url.URL {
	return &url.URL{Scheme: uriScheme, Host: id.ClusterID, Path: "/" + string(id.Role) + "/" + id.NodeID}
}

// Validate reports the first field of id that may not go into a certificate.
func (id Identity) Validate() error {
	for _, f := range []struct{ field, value string }{
		{"cluster id", id.ClusterID}, {"node id", id.NodeID}, {"node name", id.Name},
	} {
		if err := validateName(f.field, f.value); err != nil {
			return err
		}
	}
	if !id.Role.Valid() {
		return fmt.Errorf("%w: role %q: use %s", ErrBadIdentity, clip(string(id.Role)), RoleNames())
	}
	return nil
}

// ValidateNodeName accepts 1-63 of [A-Za-z0-9-] without a leading or trailing '-':
// such a name is safe as a path element, a DNS label and a libvirt name.
func ValidateNodeName(name string) error { return validateName("node name", name) }

func validateName(field, s string) error {
	const wayOut = "use 1-63 letters, digits and '-', not at the ends"
	switch {
	case s == "":
		return fmt.Errorf("%w: %s is empty: %s", ErrBadName, field, wayOut)
	case len(s) > maxNameLen:
		return fmt.Errorf("%w: %s %q has %d bytes, at most %d: %s", ErrBadName, field, clip(s), len(s), maxNameLen, wayOut)
	case strings.Trim(s, "-") != s:
		return fmt.Errorf("%w: %s %q starts or ends with '-': %s", ErrBadName, field, s, wayOut)
	case strings.IndexFunc(s, notNameRune) >= 0:
		return fmt.Errorf("%w: %s %q: %s", ErrBadName, field, s, wayOut)
	}
	return nil
}

func notNameRune(r rune) bool {
	return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// clip keeps hostile input short in errors and logs.
func clip(s string) string {
	if len(s) > maxNameLen {
		return s[:maxNameLen] + "…"
	}
	return s
}

// IdentityFromCert reads the identity of a leaf certificate. It is strict: exactly one URI SAN of exactly our form,
// a subject of the common name only, no e-mail, and no CA certificate. It does not verify the signature.
func IdentityFromCert(cert *x509.Certificate) (Identity, error) {
	if cert == nil {
		return Identity{}, ErrNoCertificate
	}
	if cert.IsCA || len(cert.URIs) != 1 || len(cert.EmailAddresses) != 0 || len(cert.Subject.Names) != 1 {
		return Identity{}, fmt.Errorf("%w: want a leaf with one common name and one URI, got CA=%t, %d URIs, %d e-mails, %d subject fields",
			ErrBadIdentity, cert.IsCA, len(cert.URIs), len(cert.EmailAddresses), len(cert.Subject.Names))
	}
	id, err := parseURI(cert.URIs[0])
	if err != nil {
		return Identity{}, err
	}
	id.Name = cert.Subject.CommonName
	return id, id.Validate()
}

// parseURI takes apart novacron://cluster/role/node. Rebuilding and comparing refuses every extra field:
// user, port, query, fragment, escapes and further path elements.
func parseURI(u *url.URL) (Identity, error) {
	role, node, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	id := Identity{ClusterID: u.Host, NodeID: node, Role: Role(role)}
	if *u != *id.uri() {
		return Identity{}, fmt.Errorf("%w: URI %q is not %s://cluster/role/node", ErrBadIdentity, clip(u.String()), uriScheme)
	}
	return id, nil
}

// PeerIdentity gives the verified identity of the other end of a connection made with Credentials.
// Joining connections have none: ErrNoCertificate.
func PeerIdentity(cs *tls.ConnectionState) (Identity, error) {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return Identity{}, ErrNoCertificate
	}
	return IdentityFromCert(cs.PeerCertificates[0])
}
