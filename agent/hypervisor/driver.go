package hypervisor

import (
	"context"
	"io"
)

// Driver is what the manager needs of a hypervisor. Every method is safe for concurrent use and honours the
// context's deadline. Unknown domains, pools and volumes are ErrNotFound.
type Driver interface {
	DomainDriver
	LifecycleDriver
	MediaDriver
	ReshapeDriver
	VolumeDriver
	NetworkDriver
	StorageDriver
	StatsDriver
	// Facts tells what the host can do. What is costly to find out is found out once.
	Facts(ctx context.Context) (HostFacts, error)
	// Events sends changes until the context ends, then closes the channel. A slow reader loses events, never blocks.
	Events(ctx context.Context) (<-chan Event, error)
	// Close ends the connection. Guests run on.
	Close() error
}

// DomainDriver handles domains, which are named by UUID.
type DomainDriver interface {
	// Domains lists every domain of the host, foreign ones too.
	Domains(ctx context.Context) ([]Domain, error)
	Domain(ctx context.Context, id string) (Domain, error)
	// Define makes a persistent domain. A name or UUID that a different domain has is ErrExists.
	Define(ctx context.Context, xml string) error
	// Undefine forgets a stopped domain with its managed save, NVRAM, TPM state and snapshot metadata.
	Undefine(ctx context.Context, id string) error
	// Start runs a defined domain; one that runs already is fine.
	Start(ctx context.Context, id string) error
	// Shutdown asks the guest to power off: through its agent where connected, else by ACPI. It does not wait.
	Shutdown(ctx context.Context, id string) error
	// Kill ends the hypervisor process: by SIGTERM with up to 10 s to obey where gently, else by SIGKILL.
	// A domain that is stopped already is fine; one that outlives the gentle way is an error.
	Kill(ctx context.Context, id string, gently bool) error
	// SetMetadata replaces the element of MetadataNamespace.
	SetMetadata(ctx context.Context, id, xml string) error
	// Console opens the first serial port of a running domain.
	Console(ctx context.Context, id string) (Console, error)
}

// VolumeDriver handles volumes of storage pools.
type VolumeDriver interface {
	// VolumeNames lists a pool as it is now.
	VolumeNames(ctx context.Context, pool string) ([]string, error)
	Volume(ctx context.Context, pool, name string) (VolumeInfo, error)
	// CreateVolume makes a sparse volume. One that exists is ErrExists.
	CreateVolume(ctx context.Context, spec VolumeSpec) (VolumeInfo, error)
	// UploadVolume fills a volume with length bytes of content.
	UploadVolume(ctx context.Context, pool, name string, content io.Reader, length int64) error
	DeleteVolume(ctx context.Context, pool, name string) error
}

// Domain is one domain as the driver sees it.
type Domain struct {
	ID    string
	Name  string
	State State
	// Machine is the versioned machine type.
	Machine string
	// Metadata is what the domain's metadata element contains, of us and of others.
	Metadata string
	// XML is the complete description: of the running instance where there is one.
	XML string
}

// VolumeSpec is a volume to be made.
type VolumeSpec struct {
	Pool string
	Name string
	// Format is "qcow2" or "raw".
	Format        string
	CapacityBytes uint64
	// BackingPath and BackingFormat are empty except for an overlay.
	BackingPath   string
	BackingFormat string
}

// VolumeInfo is a volume as it is. Sizes are in bytes.
type VolumeInfo struct {
	Pool            string
	Name            string
	Path            string
	Format          string
	CapacityBytes   uint64
	AllocationBytes uint64
	BackingPath     string
}
