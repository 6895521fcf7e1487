package hypervisor

import "context"

// NetworkDriver handles libvirt's networks and packet filters, which are named by UUID. Unknown ones are ErrNotFound.
type NetworkDriver interface {
	// Networks lists every network of the host, foreign ones too.
	Networks(ctx context.Context) ([]Network, error)
	// DefineNetwork makes a persistent network, or changes one of the same name and UUID. A name or UUID that a
	// different network has is ErrExists.
	DefineNetwork(ctx context.Context, xml string) error
	// StartNetwork runs a defined network, now and at every boot of the host; one that runs already is fine.
	StartNetwork(ctx context.Context, id string) error
	// RemoveNetwork stops a network and forgets it. Guests on it lose it.
	RemoveNetwork(ctx context.Context, id string) error
	// SetLease gives an address to a card, in the running network and in its definition, in place of what was there for
	// that card.
	SetLease(ctx context.Context, id string, lease Lease) error
	// DropLease takes it back, and has the DHCP server forget that the card had it. One that is not there is fine.
	DropLease(ctx context.Context, id string, lease Lease) error
	// Filters lists every packet filter of the host, foreign ones too.
	Filters(ctx context.Context) ([]Filter, error)
	// DefineFilter makes a filter or changes one of the same name and UUID, for running guests too. A name or UUID that
	// a different filter has is ErrExists.
	DefineFilter(ctx context.Context, xml string) error
	// RemoveFilter forgets a filter. One that a guest refers to is ErrInUse.
	RemoveFilter(ctx context.Context, id string) error
}

// Network is one libvirt network as the driver sees it.
type Network struct {
	ID        string
	Name      string
	Active    bool
	Autostart bool
	// Leases are the addresses that DHCP keeps for cards.
	Leases []Lease
	// Metadata is what the network's metadata element contains, of us and of others.
	Metadata string
}

// Lease is an address that DHCP gives to one card.
type Lease struct {
	MAC     string
	Address string
	// Name is the host name that goes with it; it may be empty.
	Name string
}

// Filter is one packet filter.
type Filter struct {
	ID   string
	Name string
}
