package hypervisor

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"
)

// The types of pools that can be defined.
const (
	PoolDir   = "dir"
	PoolLVM   = "logical"
	PoolNFS   = "netfs"
	PoolISCSI = "iscsi"
	PoolRBD   = "rbd"
)

// PoolSpec is a storage pool to be attached to a host.
type PoolSpec struct {
	Name string
	// Type is one of dir, logical (LVM), netfs (NFS), iscsi and rbd (Ceph).
	Type string
	// Path is the folder of a dir pool, the mount point of a netfs pool, or the folder of device nodes of an iscsi pool.
	Path string
	// Hosts are the servers of a netfs or iscsi pool, or the monitors of a rbd pool, as host or host:port.
	Hosts []string
	// Source is the volume group, the exported folder, the target's IQN, or the Ceph pool.
	Source string
	// User and Secret are the Ceph user and the UUID of libvirt's secret with the key.
	User, Secret string
}

var (
	poolName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)
	poolHost = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]{1,5})?$`)
	poolText = regexp.MustCompile(`^[a-zA-Z0-9/][a-zA-Z0-9/_.:@+-]{0,254}$`)
)

// systemFolders hold the host itself; no pool lies in them.
func systemFolders() []string {
	return []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr"}
}

// Check tells what is wrong with the spec, naming the field.
func (p PoolSpec) Check() error {
	needsPath := p.Type == PoolDir || p.Type == PoolNFS || p.Type == PoolISCSI
	needsHosts := p.Type == PoolNFS || p.Type == PoolISCSI || p.Type == PoolRBD
	switch {
	case !poolName.MatchString(p.Name):
		return fmt.Errorf("name: %.80q: use up to 63 letters, digits, dots, dashes and underscores", p.Name)
	case !slices.Contains([]string{PoolDir, PoolLVM, PoolNFS, PoolISCSI, PoolRBD}, p.Type):
		return fmt.Errorf("type: %.40q: it must be dir, logical, netfs, iscsi or rbd", p.Type)
	case needsPath != (p.Path != ""):
		return fmt.Errorf("path: %.80q: pools of type dir, netfs and iscsi have one, others have none", p.Path)
	case p.Type != PoolDir && !poolText.MatchString(p.Source):
		return fmt.Errorf("source: %.80q: name the volume group, the exported folder, the IQN or the Ceph pool", p.Source)
	case needsHosts != (len(p.Hosts) > 0):
		return fmt.Errorf("hosts: %d: pools of type netfs, iscsi and rbd have at least one, others have none", len(p.Hosts))
	case len(p.Hosts) > 1 && p.Type != PoolRBD:
		return fmt.Errorf("hosts: %d: only a rbd pool has more than one", len(p.Hosts))
	case (p.User == "") != (p.Secret == "") || p.User != "" && p.Type != PoolRBD:
		return fmt.Errorf("user: %.40q: a rbd pool may have one, together with a secret", p.User)
	}
	return p.checkParts()
}

func (p PoolSpec) checkParts() error {
	for _, host := range p.Hosts {
		if !poolHost.MatchString(host) {
			return fmt.Errorf("hosts: %.80q: it must be a host or host:port", host)
		}
	}
	if _, err := uuid.Parse(p.Secret); p.Secret != "" && err != nil {
		return fmt.Errorf("secret: %.80q: it must be the UUID of a secret of libvirt", p.Secret)
	}
	if p.Path == "" {
		return nil
	}
	if !poolText.MatchString(p.Path) || p.Path[0] != '/' || path.Clean(p.Path) != p.Path || p.Path == "/" {
		return fmt.Errorf("path: %.80q: it must be a plain absolute path below /", p.Path)
	}
	for _, folder := range systemFolders() {
		inside := p.Path == folder || strings.HasPrefix(p.Path, folder+"/")
		if inside && (p.Type != PoolISCSI || folder != "/dev") {
			return fmt.Errorf("path: %s lies in %s, which belongs to the system: take a folder such as /var/lib/novacron/%s", p.Path, folder, p.Name)
		}
	}
	return nil
}

// XML is the definition for libvirt.
func (p PoolSpec) XML() (string, error) {
	if err := p.Check(); err != nil {
		return "", err
	}
	x := libvirtxml.StoragePool{Type: p.Type, Name: p.Name}
	if p.Path != "" {
		x.Target = &libvirtxml.StoragePoolTarget{Path: p.Path}
	}
	if p.Type == PoolDir {
		return x.Marshal()
	}
	x.Source = &libvirtxml.StoragePoolSource{}
	for _, host := range p.Hosts {
		name, port, _ := strings.Cut(host, ":")
		x.Source.Host = append(x.Source.Host, libvirtxml.StoragePoolSourceHost{Name: name, Port: port})
	}
	switch p.Type {
	case PoolLVM:
		x.Source.Name, x.Source.Format = p.Source, &libvirtxml.StoragePoolSourceFormat{Type: "lvm2"}
		x.Target = &libvirtxml.StoragePoolTarget{Path: "/dev/" + p.Source}
	case PoolNFS:
		x.Source.Dir, x.Source.Format = &libvirtxml.StoragePoolSourceDir{Path: p.Source}, &libvirtxml.StoragePoolSourceFormat{Type: "nfs"}
	case PoolISCSI:
		x.Source.Device = []libvirtxml.StoragePoolSourceDevice{{Path: p.Source}}
	case PoolRBD:
		x.Source.Name = p.Source
		if p.User != "" {
			x.Source.Auth = &libvirtxml.StoragePoolSourceAuth{Type: "ceph", Username: p.User, Secret: &libvirtxml.StoragePoolSourceAuthSecret{UUID: p.Secret}}
		}
	}
	return x.Marshal()
}

// CreatePool attaches a pool: it is defined, its folder is made, it is started, and starts again with the host. A failure
// leaves nothing of it but an empty folder. One of that name that is there with the same type and path is fine.
func (m *Manager) CreatePool(ctx context.Context, spec PoolSpec) error {
	text, err := spec.XML()
	if err != nil {
		return err
	}
	release, err := m.bases.lock(ctx, spec.Name)
	if err != nil {
		return err
	}
	defer release()
	facts, err := m.HostFacts(ctx)
	if err != nil {
		return err
	}
	if there := facts.pool(spec.Name); there.Name != "" {
		if there.Type == spec.Type && (spec.Path == "" || samePath(there.Path, spec.Path)) {
			return nil
		}
		return fmt.Errorf("pool %s: %w: a %s pool at %s; choose another name", spec.Name, ErrExists, there.Type, there.Path)
	}
	for _, other := range facts.Pools {
		if samePath(other.Path, spec.Path) {
			return fmt.Errorf("path: %s is the folder of pool %s: %w; use that, or choose another path", spec.Path, other.Name, ErrExists)
		}
	}
	return m.driver.CreatePool(ctx, spec, text)
}

// DeletePool detaches a pool and forgets its definition; what is stored in it stays. It is refused while a volume of a
// cluster lies in it, or a domain has one as a disk.
func (m *Manager) DeletePool(ctx context.Context, name string) error {
	release, err := m.bases.lock(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	stored, err := m.Stored(ctx, name)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if s.Owner != OwnerForeign || len(s.UsedBy) > 0 {
			return fmt.Errorf("pool %s: %w: volume %s lies in it; delete that first", name, ErrInUse, s.Name)
		}
	}
	return m.driver.DeletePool(ctx, name)
}
