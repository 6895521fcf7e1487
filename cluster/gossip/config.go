package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
)

const (
	// KeyLen is the length of Config.Key in bytes: AES-256.
	KeyLen = 32
	// DefaultRejoinEvery is how often missing members are looked for.
	DefaultRejoinEvery = 30 * time.Second
	// reclaim is how long after its death a node's id may come back from another address.
	reclaim = 10 * time.Second
)

// Config says who this node is and whom it asks first.
type Config struct {
	// ID is the node's UUID, the name on the gossip network.
	ID string
	// Name is for the log only; it is not sent.
	Name string
	// Role and Version are told to all; at most 32 and 64 bytes of printable ASCII.
	Role    string
	Version string
	// BindAddr is the "ip:port" to listen at, UDP and TCP; port 0 takes a free one. Not used with Transport.
	BindAddr string
	// AdvertiseAddr is the "ip:port" that others reach this node at; "" works it out from BindAddr.
	AdvertiseAddr string
	// Key encrypts everything; KeyLen bytes, the same on all nodes.
	Key []byte
	// Seeds gives the addresses to join, "host:port"; asked again before every attempt. nil or none: the first node.
	Seeds func() []string
	// Transport replaces the network, for tests; nil listens at BindAddr.
	Transport memberlist.Transport
	// RejoinEvery is the mean pause between looks for missing members; 0 means DefaultRejoinEvery.
	RejoinEvery time.Duration
	// Logger takes memberlist's messages too; nil discards them.
	Logger *slog.Logger
}

// prepared is a checked configuration.
type prepared struct {
	meta            meta
	bind, advertise netip.AddrPort // zero when not given
}

func (c *Config) prepare(ctx context.Context) (prepared, error) {
	id, err := uuid.Parse(c.ID)
	if err != nil || id.String() != c.ID {
		return prepared{}, fmt.Errorf("%w: id %q is no canonical UUID", ErrConfig, c.ID)
	}
	p := prepared{meta: meta{id: id, role: c.Role, version: c.Version}}
	if err := p.meta.validate(); err != nil {
		return prepared{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(c.Key) != KeyLen {
		return prepared{}, fmt.Errorf("%w: the key has %d bytes, want %d: gossip is always encrypted", ErrConfig, len(c.Key), KeyLen)
	}
	if c.Transport == nil {
		if p.bind, err = parseAddr(ctx, "bind address", c.BindAddr); err != nil {
			return prepared{}, err
		}
	}
	if c.AdvertiseAddr != "" {
		if p.advertise, err = parseAddr(ctx, "advertise address", c.AdvertiseAddr); err != nil {
			return prepared{}, err
		}
	}
	c.setDefaults()
	return p, nil
}

func (c *Config) setDefaults() {
	if c.RejoinEvery <= 0 {
		c.RejoinEvery = DefaultRejoinEvery
	}
	if c.Seeds == nil {
		c.Seeds = func() []string { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With("node", c.Name)
}

// parseAddr reads "ip:port", ":port" or "host:port", whose first address is taken.
func parseAddr(ctx context.Context, field, s string) (netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %s %q: want ip:port: %w", ErrConfig, field, s, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %s %q: port: %w", ErrConfig, field, s, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(ip, uint16(port)), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return netip.AddrPort{}, fmt.Errorf("%w: %s %q: cannot resolve the host: %w", ErrConfig, field, s, err)
	}
	return netip.AddrPortFrom(ips[0].Unmap(), uint16(port)), nil
}

// memberlistConfig is memberlist's LAN profile with our identity, key and guards.
func (c *Config) memberlistConfig(p prepared, d *delegate) *memberlist.Config {
	conf := memberlist.DefaultLANConfig()
	conf.Name = c.ID
	conf.SecretKey = c.Key
	conf.GossipVerifyIncoming, conf.GossipVerifyOutgoing = true, true
	conf.DeadNodeReclaimTime = reclaim
	conf.Delegate, conf.Events, conf.Alive, conf.Conflict = d, d, d, d
	conf.Logger = newLogger(c.Logger)
	if p.bind.IsValid() {
		conf.BindAddr, conf.BindPort = p.bind.Addr().String(), int(p.bind.Port())
		conf.AdvertisePort = conf.BindPort
	}
	if p.advertise.IsValid() {
		conf.AdvertiseAddr, conf.AdvertisePort = p.advertise.Addr().String(), int(p.advertise.Port())
	}
	return conf
}
