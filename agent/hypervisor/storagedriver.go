package hypervisor

import (
	"context"
	"io"
)

// StorageDriver handles pools, and volumes beyond what a machine's disks need.
type StorageDriver interface {
	// Volumes describes everything in a pool as it is now.
	Volumes(ctx context.Context, pool string) ([]VolumeInfo, error)
	// CloneVolume makes a volume with the content of another one of this host. One that exists is ErrExists.
	CloneVolume(ctx context.Context, spec VolumeSpec, source VolumeRef) (VolumeInfo, error)
	// ResizeVolume sets a volume's capacity in bytes. It never shrinks.
	ResizeVolume(ctx context.Context, pool, name string, capacityBytes uint64) error
	// DownloadVolume writes the bytes that a volume is stored in.
	DownloadVolume(ctx context.Context, pool, name string, to io.Writer) error
	// RefreshPool has the hypervisor look anew at what a pool holds, formats included.
	RefreshPool(ctx context.Context, pool string) error
	// CreatePool defines and starts a pool from its XML; one of that name is ErrExists. A failure leaves no definition.
	CreatePool(ctx context.Context, spec PoolSpec, xml string) error
	// DeletePool stops a pool and forgets its definition. What is stored in it stays.
	DeletePool(ctx context.Context, name string) error
}
