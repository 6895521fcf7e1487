// Package hypervisor creates, runs and deletes virtual machines on one host, through journaled steps that any crash leaves either continuable or undoable.
package hypervisor

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/novacron/novacron/vm"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrNotFound is a machine, volume or pool that is not on this host.
	ErrNotFound = errors.New("not found")
	// ErrForeign is a domain or volume that this cluster does not own: it is never touched.
	ErrForeign = errors.New("not owned by this cluster")
	// ErrExists is a name or volume that is taken by something that is not ours to reuse.
	ErrExists = errors.New("already exists")
	// ErrStaleEpoch is an order of a former owner.
	ErrStaleEpoch = errors.New("stale epoch")
	// ErrReadBack is a domain that is not what was asked for.
	ErrReadBack = errors.New("the domain differs from its definition")
	// ErrHalfDone is a machine with an unfinished create or delete in the journal.
	ErrHalfDone = errors.New("half done")
	// ErrUnsafePath is a file where a volume should be that is not a plain file.
	ErrUnsafePath = errors.New("unsafe path")
	// ErrInUse is a base image that overlays still refer to.
	ErrInUse = errors.New("in use")
	// ErrUnavailable is a hypervisor that cannot be reached at present.
	ErrUnavailable = errors.New("hypervisor unavailable")
	// ErrUnsupported is something that the driver in use cannot do.
	ErrUnsupported = errors.New("not supported by this driver")
)

// The plan's names for the shared types.
type (
	VMDefinition     = vm.Definition
	Volume           = vm.Volume
	NetworkInterface = vm.NetworkInterface
)

// XMLTemplateGenerator turns definitions into libvirt XML.
type XMLTemplateGenerator interface {
	// GenerateXML generates a complete XML definition for libvirt.
	GenerateXML(def *VMDefinition) (string, error)
	// ValidateDefinition validates a definition for completeness and correctness.
	ValidateDefinition(def *VMDefinition) error
}

// KVMManager creates and deletes virtual machines.
type KVMManager interface {
	// CreateVM creates and starts a machine and returns its id, which is its UUID.
	CreateVM(ctx context.Context, def *VMDefinition) (string, error)
	// DeleteVM stops a machine gracefully and removes it with every volume that it owns.
	DeleteVM(ctx context.Context, id string) error
	// VMExists tells whether a machine of this cluster with that id is on this host.
	VMExists(ctx context.Context, id string) (bool, error)
}

// Owner says for whom and in which version a machine exists. It is stored in the domain.
type Owner struct {
	ClusterID string `json:"clusterID"`
	// Epoch counts owners of the machine, Generation changes of its intent.
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
}

// ImageFile is an image on this host's disk.
type ImageFile struct {
	// Path is readable by this process.
	Path string `json:"path"`
	// SHA256 is the content in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Format is "qcow2" or "raw", as declared for the image.
	Format string `json:"format"`
}

// ImageSource makes images available on this host, fetching them from peers where needed.
type ImageSource interface {
	Image(ctx context.Context, name string) (ImageFile, error)
}

// CreateSpec is one create order.
type CreateSpec struct {
	// Definition is normalised: identity, MACs and defaults are filled in.
	Definition *VMDefinition
	Owner      Owner
	// Images resolves the definition's image names; it may be nil where the definition names none.
	Images ImageSource
	// VolumeProject tells the project of a volume that stands alone on this host, by its id; nil knows none.
	VolumeProject func(id string) (project string, known bool)
	// Start runs the machine once it is defined.
	Start bool
	// Progress, when set, hears what the create is busy with.
	Progress func(step string)
}

// DeleteOptions says how to delete.
type DeleteOptions struct {
	// Force skips the graceful stop.
	Force bool
	// StopTimeout bounds the graceful stop; 0 means what the machine's definition says.
	StopTimeout time.Duration
	// Vouched says that the cluster's own record names the machine as ours: volumes that carry its id are then
	// removed even where neither the journal nor the domain is left to prove it.
	Vouched bool
}

// StopOptions says how to stop.
type StopOptions struct {
	// Timeout bounds the graceful part; 0 means what the machine's definition says.
	Timeout time.Duration
	// Force skips the graceful part.
	Force bool
}

// State is what a domain is doing.
type State string

// The states of a domain.
const (
	StateRunning State = "running"
	StateStopped State = "stopped"
	StatePaused  State = "paused"
	// StateCrashed is stopped, but neither the guest nor anybody else had asked for it.
	StateCrashed State = "crashed"
)

// Off tells whether nothing of a domain runs.
func (s State) Off() bool { return s == StateStopped || s == StateCrashed }

// Observed is one domain of this host, ours or not.
type Observed struct {
	// ID is the domain's UUID, Name its name in the definition, or in libvirt where it is foreign.
	ID   string
	Name string
	// Ours says that the domain carries this cluster's metadata. The fields below State are empty where it does not.
	Ours  bool
	State State
	Owner Owner
	// Definition is what the machine was created from, without its secrets.
	Definition *VMDefinition
	// Machine is the versioned machine type that the alias was resolved to.
	Machine string
	// HalfDone says that the journal has an unfinished create or delete of it.
	HalfDone bool
}

// Event is a change in the life of a domain, or of the connection to the hypervisor.
type Event struct {
	// ID is the domain's UUID; empty means that anything may have changed.
	ID string
	// Kind is "defined", "undefined", "started", "stopped", "paused", "resumed", "rebooted", "crashed", "connected" or
	// "disconnected".
	Kind string
}

// Console is a guest's serial console.
type Console = io.ReadWriteCloser
