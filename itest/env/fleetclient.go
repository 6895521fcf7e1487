package env

import (
	"fmt"
	"net"
	"path/filepath"

	"github.com/novacron/novacron/cluster/node"
	"github.com/novacron/novacron/cluster/pki"
	"github.com/novacron/novacron/controller/cli"
)

func (f *Fleet) configPath() string { return filepath.Join(f.Home, "config.yaml") }

// Admin is the first administrator at a member: its HTTP client reaches controllers and agents.
func (f *Fleet) Admin(member string) (*Client, error) {
	address, err := f.Address(member)
	if err != nil {
		return nil, err
	}
	config, err := cli.LoadConfig(f.configPath())
	if err != nil {
		return nil, err
	}
	for _, one := range config.Contexts {
		if one.Name != config.CurrentContext {
			continue
		}
		who, err := pki.NewCredentials(pki.Material{CertPEM: []byte(one.Certificate), KeyPEM: []byte(one.Key), CAPEM: []byte(one.CA)}, pki.Options{})
		if err != nil {
			return nil, err
		}
		return newClient(node.HTTPClient(who.ClientTLS(pki.RoleController, pki.RoleAgent)), address), nil
	}
	return nil, fmt.Errorf("%s has no context %q", f.configPath(), config.CurrentContext)
}

// Address is the API of a member.
func (f *Fleet) Address(member string) (string, error) {
	host, err := f.Lab.Host(member)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host.IP, node.PortAPI), nil
}
