package node

import (
	"time"

	"github.com/google/uuid"

	"github.com/novacron/novacron/cluster/pki"
)

// InitOptions describe the first controller of a new cluster.
type InitOptions struct {
	DataDir           string
	Name              string
	API, Raft, Gossip string
	// Admin is the name in the first administrator's certificate.
	Admin string
}

// Init makes a new cluster: its CA, its gossip key and the first controller's data directory. The answer's material is
// the first administrator's. Nothing is left behind when it fails half-way but keys that nobody knows.
func Init(o InitOptions) (Config, pki.Material, error) {
	c := Config{
		DataDir: o.DataDir, ClusterID: uuid.NewString(), NodeID: uuid.NewString(), Name: o.Name, Role: pki.RoleController,
		API: o.API, Raft: o.Raft, Gossip: o.Gossip, Bootstrap: true,
	}
	if err := c.Validate(); err != nil {
		return Config{}, pki.Material{}, err
	}
	if err := vacant(o.DataDir); err != nil {
		return Config{}, pki.Material{}, err
	}
	ca, err := pki.NewCA(c.ClusterID, time.Now())
	if err != nil {
		return Config{}, pki.Material{}, err
	}
	material, err := issue(ca, pki.Identity{ClusterID: c.ClusterID, NodeID: c.NodeID, Name: c.Name, Role: c.Role})
	if err != nil {
		return Config{}, pki.Material{}, err
	}
	material.CAKeyPEM = ca.KeyPEM()
	if material.GossipKey, err = pki.NewGossipKey(); err != nil {
		return Config{}, pki.Material{}, err
	}
	admin, err := issue(ca, pki.Identity{ClusterID: c.ClusterID, NodeID: uuid.NewString(), Name: o.Admin, Role: pki.RoleAdmin})
	if err != nil {
		return Config{}, pki.Material{}, err
	}
	return c, admin, create(c, material)
}

func issue(ca *pki.CA, id pki.Identity) (pki.Material, error) {
	key, csr, err := pki.NewKeyAndCSR()
	if err != nil {
		return pki.Material{}, err
	}
	cert, err := ca.Sign(csr, id, nil, 0, time.Now())
	if err != nil {
		return pki.Material{}, err
	}
	return pki.Material{Identity: id, CertPEM: cert, KeyPEM: key, CAPEM: ca.CertPEM()}, nil
}
