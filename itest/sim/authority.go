package sim

import (
	"time"

	"github.com/novacron/novacron/cluster/pki"
)

// Authority makes the certificates of a simulated cluster.
type Authority struct{ ca *pki.CA }

// clusterID names the simulated cluster.
const clusterID = "5eed0000-0000-4000-8000-000000000001"

// NewAuthority makes a new one.
func NewAuthority() (Authority, error) {
	ca, err := pki.NewCA(clusterID, time.Now())
	return Authority{ca}, err
}

// Material is a new certificate with its key.
func (a Authority) Material(name string, role pki.Role) (pki.Material, error) {
	key, csr, err := pki.NewKeyAndCSR()
	if err != nil {
		return pki.Material{}, err
	}
	cert, err := a.ca.Sign(csr, pki.Identity{ClusterID: clusterID, Role: role, NodeID: name, Name: name}, nil, 0, time.Now())
	return pki.Material{CertPEM: cert, KeyPEM: key, CAPEM: a.ca.CertPEM()}, err
}
