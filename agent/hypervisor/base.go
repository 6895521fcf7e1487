package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/diskimage"
)

// pins counts the creates that are about to use a base image, so that none is collected in between.
type pins struct {
	mu    sync.Mutex
	count map[VolumeRef]int
}

func (p *pins) hold(b BaseRef) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil {
		p.count = map[VolumeRef]int{}
	}
	p.count[VolumeRef{b.Pool, b.Volume}]++
}

func (p *pins) release(bases []BaseRef) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range bases {
		p.count[VolumeRef{b.Pool, b.Volume}]--
	}
}

func (p *pins) held(b BaseRef) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[VolumeRef{b.Pool, b.Volume}] > 0
}

// want is an image that a machine needs in a pool.
type want struct {
	image, pool string
	// boot says that it is a kernel, a RAM disk or what lies in a drive; sizeGB is that of the smallest disk on top of it otherwise.
	boot   bool
	sizeGB int
}

// wants lists the images of a definition. Kernels lie in the pool of the root disk.
func wants(def *VMDefinition) []want {
	var list []want
	for _, d := range disks(def) {
		if d.image != "" {
			list = append(list, want{d.image, d.pool, d.medium(), d.sizeGB})
		}
	}
	if def.Boot != nil {
		list = append(list, want{def.Boot.Kernel, def.Pool, true, 0})
		if def.Boot.Initrd != "" {
			list = append(list, want{def.Boot.Initrd, def.Pool, true, 0})
		}
	}
	return list
}

// importAll brings every image of the definition into its pool, once per content.
func (c *creation) importAll(ctx context.Context) error {
	for _, w := range wants(c.def) {
		c.progress("fetching image " + w.image)
		err := c.step(ctx, opCreate, stepImage, func() error { return c.importOne(ctx, w) })
		if err != nil {
			return fmt.Errorf("image %s: %w", w.image, err)
		}
	}
	return nil
}

func (c *creation) importOne(ctx context.Context, w want) error {
	file, err := c.fetch(ctx, w)
	if err != nil {
		return err
	}
	ref := BaseRef{Image: w.image, Pool: w.pool, Volume: BaseName(file.SHA256, volumeFormat(file.Format)), Format: file.Format}
	if !slices.Contains(c.entry.Bases, ref) {
		if err := c.note(record{Bases: []BaseRef{ref}}); err != nil {
			return err
		}
	}
	c.pins.hold(ref)
	c.bases = append(c.bases, ref)
	path, err := c.ensureBase(ctx, ref, file)
	c.bases[len(c.bases)-1].Path = path
	return err
}

// fetch makes the image's file available and checks it.
func (c *creation) fetch(ctx context.Context, w want) (ImageFile, error) {
	source := c.spec.Images
	if source == nil {
		source = c.config.Images
	}
	if source == nil {
		return ImageFile{}, errors.New("no source of images was given")
	}
	file, err := source.Image(ctx, w.image)
	if err != nil {
		return file, err
	}
	if len(file.SHA256) != 64 || strings.Trim(file.SHA256, "0123456789abcdef") != "" {
		return file, fmt.Errorf("hash %.80q is not a SHA-256 in lower-case hexadecimal", file.SHA256)
	}
	if w.boot {
		file.Format = bootFormat
		return file, nil
	}
	return file, checkImage(file, w.sizeGB)
}

// checkImage refuses an image that is not what was declared, or that does not fit on the disk.
func checkImage(file ImageFile, sizeGB int) error {
	f, err := os.Open(file.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	if file.Format == vm.FormatRaw {
		return checkFits(stat.Size(), sizeGB)
	}
	info, err := diskimage.Inspect(f, stat.Size())
	if err != nil {
		return err
	}
	if string(info.Format) != file.Format {
		return fmt.Errorf("declared %s, stored %s; declare the format that it has", file.Format, info.Format)
	}
	return checkFits(int64(info.VirtualSize), sizeGB)
}

func checkFits(virtualSize int64, sizeGB int) error {
	if virtualSize > int64(sizeGB)*gib {
		return fmt.Errorf("it holds a disk of %d bytes, larger than the %d GiB asked for; ask for at least %d GiB",
			virtualSize, sizeGB, (virtualSize+gib-1)/gib)
	}
	return nil
}

// ensureBase imports an image unless the pool has it, and returns its path there.
func (m *Manager) ensureBase(ctx context.Context, ref BaseRef, file ImageFile) (string, error) {
	release, err := m.bases.lock(ctx, ref.Pool+"/"+ref.Volume)
	if err != nil {
		return "", err
	}
	defer release()
	if err := m.dropHalfImport(ctx, ref); err != nil {
		return "", err
	}
	info, err := m.driver.Volume(ctx, ref.Pool, ref.Volume)
	if errors.Is(err, ErrNotFound) {
		info, err = m.importBase(ctx, ref, file)
	}
	return info.Path, err
}

// dropHalfImport removes what a crash left of an import. The caller holds the base's lock.
func (m *Manager) dropHalfImport(ctx context.Context, ref BaseRef) error {
	key := importKey(ref)
	if _, err := m.journal.load(key); errors.Is(err, ErrNotFound) {
		return nil
	}
	if err := ignoreNotFound(m.driver.DeleteVolume(ctx, ref.Pool, ref.Volume)); err != nil {
		return fmt.Errorf("half-imported base %s: %w", ref.Volume, err)
	}
	return m.journal.end(key)
}

// importKey names the journal of an import.
func importKey(ref BaseRef) string { return ref.Pool + "@" + ref.Volume }

// importBase copies an image into a pool. While the journal has its entry, the volume counts as incomplete.
func (m *Manager) importBase(ctx context.Context, ref BaseRef, file ImageFile) (VolumeInfo, error) {
	f, err := os.Open(file.Path)
	if err != nil {
		return VolumeInfo{}, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return VolumeInfo{}, err
	}
	var info VolumeInfo
	// The volume is made raw, exactly as long as the file: the overlay says what format its content has.
	spec := VolumeSpec{Pool: ref.Pool, Name: ref.Volume, Format: vm.FormatRaw, CapacityBytes: uint64(stat.Size())}
	err = m.inOrder(ctx, opImport,
		work{stepJournal, func() error {
			return m.journal.begin(JournalEntry{ID: importKey(ref), Kind: KindImport, Pool: ref.Pool, Bases: []BaseRef{ref}})
		}},
		work{stepVolume, func() (err error) { info, err = m.driver.CreateVolume(ctx, spec); return err }},
		work{stepUpload, func() error { return m.driver.UploadVolume(ctx, ref.Pool, ref.Volume, f, stat.Size()) }},
		work{stepCommit, func() error { return m.journal.end(importKey(ref)) }},
	)
	return info, err
}

// work is a step with its name.
type work struct {
	step string
	do   func() error
}

// inOrder does steps until one fails.
func (m *Manager) inOrder(ctx context.Context, op string, steps ...work) error {
	for _, w := range steps {
		if err := m.step(ctx, op, w.step, w.do); err != nil {
			return err
		}
	}
	return nil
}
