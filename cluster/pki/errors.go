package pki

import "errors"

// Certificate and identity errors. Match with errors.Is.
var (
	// ErrBadName is a node, cluster or host name outside the allowed alphabet or length.
	ErrBadName = errors.New("bad name")
	// ErrBadIdentity is a certificate that does not carry exactly one NovaCron identity.
	ErrBadIdentity = errors.New("certificate carries no valid NovaCron identity")
	// ErrBadCSR is a signing request that does not parse, whose signature fails, or whose key is not accepted.
	ErrBadCSR = errors.New("bad certificate signing request")
	// ErrTTL is a lifetime that is not positive or is above the limit of its kind.
	ErrTTL = errors.New("lifetime out of range")
	// ErrBadMaterial is stored key material that is missing, torn or does not fit together.
	ErrBadMaterial = errors.New("bad key material")
)

// Handshake refusals, given to Options.Refused and wrapped in the handshake error of the refusing side.
var (
	// ErrNoCertificate is a peer that showed no certificate.
	ErrNoCertificate = errors.New("peer showed no certificate")
	// ErrWrongCA is a certificate that this cluster's CA did not sign, or not for this use.
	ErrWrongCA = errors.New("certificate does not chain to this cluster's CA")
	// ErrExpired is a certificate that is not valid yet or not valid any more.
	ErrExpired = errors.New("certificate is outside its validity")
	// ErrWrongCluster is an identity of another cluster.
	ErrWrongCluster = errors.New("certificate belongs to another cluster")
	// ErrWrongRole is a valid peer whose role is not accepted here.
	ErrWrongRole = errors.New("role is not accepted here")
	// ErrRevoked is a valid certificate that the cluster has revoked.
	ErrRevoked = errors.New("certificate is revoked")
	// ErrWrongNode is a valid peer that is not the node that was dialled.
	ErrWrongNode = errors.New("peer is not the node that was dialled")
)

// Join token errors.
var (
	// ErrTokenMalformed is text that is no join token; most often it was cut or mistyped.
	ErrTokenMalformed = errors.New("malformed join token")
	// ErrTokenExpired is a genuine token used too late.
	ErrTokenExpired = errors.New("join token has expired")
	// ErrTokenForged is a known id with a wrong secret.
	ErrTokenForged = errors.New("join token's secret is wrong")
	// ErrTokenOtherNode is a genuine token presented by a node that it was not made for.
	ErrTokenOtherNode = errors.New("join token was made for another node")
	// ErrTokenUsed is a token presented a second time; the caller's state machine knows.
	ErrTokenUsed = errors.New("join token was used already")
	// ErrTokenUnknown is an id that the cluster never issued or has forgotten.
	ErrTokenUnknown = errors.New("join token is unknown")
)
