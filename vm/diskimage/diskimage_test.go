package diskimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const gib = 1 << 30

// sound makes a small qcow2 image of version 3, then lets a test spoil it. Nothing but the header matters.
func sound(spoil func(h []byte)) []byte {
	const cluster = 1 << 16
	image := make([]byte, 4*cluster)
	be := binary.BigEndian
	copy(image, qcowMagic)
	be.PutUint32(image[4:], 3)
	be.PutUint32(image[20:], 16)
	be.PutUint64(image[24:], gib)
	be.PutUint32(image[36:], 2)
	be.PutUint64(image[40:], 2*cluster)
	be.PutUint64(image[48:], cluster)
	be.PutUint32(image[56:], 1)
	be.PutUint32(image[96:], 4)
	be.PutUint32(image[100:], 112)
	if spoil != nil {
		spoil(image)
	}
	return image
}

func put32(at int, v uint32) func([]byte) {
	return func(h []byte) { binary.BigEndian.PutUint32(h[at:], v) }
}

func put64(at int, v uint64) func([]byte) {
	return func(h []byte) { binary.BigEndian.PutUint64(h[at:], v) }
}

func inspect(image []byte) (Info, error) { return Inspect(bytes.NewReader(image), int64(len(image))) }

func TestSoundQcow2(t *testing.T) {
	for name, spoil := range map[string]func([]byte){
		"version 3":         nil,
		"version 2":         put32(4, 2),
		"dirty":             put64(72, incompatDirty),
		"zstd":              put64(72, incompatCompress),
		"snapshots":         put32(60, 3),
		"unknown extension": func(h []byte) { put32(112, 0x12345678)(h); put32(116, 5)(h) },
		"extended L2":       func(h []byte) { put64(72, incompatExtendedL2)(h); put32(36, 4)(h) },
	} {
		info, err := inspect(sound(spoil))
		require.NoError(t, err, name)
		require.Equal(t, Info{Qcow2, gib}, info, name)
	}
}

// Attacks 16, 17 and 20, and every way in which a header may be damaged.
func TestRefusedQcow2(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func([]byte)
		want  error
	}{
		{"backing file", func(h []byte) { put64(8, 200)(h); put32(16, 11)(h); copy(h[200:], "/etc/passwd") }, ErrBackingFile},
		{"backing length alone", put32(16, 11), ErrBackingFile},
		{"external data bit", put64(72, incompatData), ErrExternalData},
		{"external data name", func(h []byte) { put32(112, extData)(h); put32(116, 4)(h) }, ErrExternalData},
		{"external data after another", func(h []byte) {
			put32(112, 7)(h)
			put32(116, 3)(h)
			put32(128, extData)(h)
		}, ErrExternalData},
		{"encrypted", put32(32, 2), ErrEncrypted},
		{"encryption header", put32(112, extEncryption), ErrEncrypted},
		{"corrupt bit", put64(72, incompatCorrupt), ErrCorrupt},
		{"unknown feature", put64(72, 1<<40), ErrFormat},
		{"version 1", put32(4, 1), ErrFormat},
		{"version 4", put32(4, 4), ErrFormat},
		{"huge disk", put64(24, 1<<60), ErrTooLarge},
		{"cluster bits", put32(20, 64), ErrCorrupt},
		{"small clusters", put32(20, 8), ErrCorrupt},
		{"header length", put32(100, 96), ErrCorrupt},
		{"odd header length", put32(100, 113), ErrCorrupt},
		{"long header", put32(100, 1<<30), ErrCorrupt},
		{"refcount order", put32(96, 7), ErrCorrupt},
		{"too many snapshots", put32(60, 1<<20), ErrCorrupt},
		{"short L1 table", put32(36, 1), ErrCorrupt},
		{"long L1 table", put32(36, 1<<30), ErrCorrupt},
		{"L1 table beyond the end", put64(40, 1<<40), ErrCorrupt},
		{"L1 table off its border", put64(40, 77), ErrCorrupt},
		{"no refcount table", put32(56, 0), ErrCorrupt},
		{"refcount table beyond the end", put32(56, 100), ErrCorrupt},
		{"refcount table too long", put32(56, 1<<31), ErrCorrupt},
		{"extension too long", func(h []byte) { put32(112, 5)(h); put32(116, 0xffffffff)(h) }, ErrCorrupt},
		{"endless extensions", func(h []byte) {
			for at := 112; at < 2000; at += 8 {
				put32(at, 5)(h)
			}
		}, ErrCorrupt},
	} {
		_, err := inspect(sound(c.spoil))
		require.ErrorIs(t, err, c.want, c.name)
		require.Contains(t, err.Error(), ";", "%s: no way out in %q", c.name, err)
	}
	for _, length := range []int{5, 71, 72, 103} {
		_, err := inspect(sound(nil)[:length])
		require.ErrorIs(t, err, ErrCorrupt, length)
	}
}

func TestRaw(t *testing.T) {
	for _, image := range [][]byte{make([]byte, 512), make([]byte, 100_000), []byte("x"), append(make([]byte, 510), 0x55, 0xaa)} {
		info, err := inspect(image)
		require.NoError(t, err)
		require.Equal(t, Info{Raw, uint64(len(image))}, info)
	}
	_, err := Inspect(bytes.NewReader(nil), 0)
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = Inspect(sparse{}, MaxVirtualSize+1)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = Inspect(bytes.NewReader([]byte("short")), 1000)
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = Inspect(broken{}, 1000)
	require.ErrorIs(t, err, errBroken)
}

type sparse struct{}

func (sparse) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

type broken struct{}

var errBroken = errors.New("broken")

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

func TestForeignFormatsNameTheirConversion(t *testing.T) {
	for _, s := range headSignatures() {
		image := make([]byte, 8192)
		copy(image[s.offset:], s.magic)
		_, err := inspect(image)
		require.ErrorIs(t, err, ErrFormat, s.name)
		require.ErrorContains(t, err, s.name)
		if s.convert != "" {
			require.ErrorContains(t, err, "qemu-img convert -f "+s.convert)
		}
	}
	for _, s := range footSignatures() {
		image := make([]byte, 8192)
		copy(image[8192-512:], s.magic)
		_, err := inspect(image)
		require.ErrorIs(t, err, ErrFormat, s.name)
	}
}

// Attack 18: a VMDK descriptor whose extent is a file of the host.
func TestVMDKFlatExtent(t *testing.T) {
	_, err := inspect([]byte("# Disk DescriptorFile\nversion=1\nRW 8 FLAT \"/etc/shadow\" 0\n"))
	require.ErrorIs(t, err, ErrFormat)
	require.ErrorContains(t, err, "extents are other files")
}

// make runs qemu-img create, or skips where there is none.
func create(t *testing.T, format, options, size string) string {
	t.Helper()
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("qemu-img is not installed")
	}
	file := filepath.Join(t.TempDir(), "image."+format)
	args := []string{"create", "-q", "-f", format}
	if options != "" {
		args = append(args, strings.Fields(options)...)
	}
	var out []byte
	for range 20 {
		out, err = exec.CommandContext(t.Context(), tool, append(args, file, size)...).CombinedOutput()
		// A key's cost is measured first, which a busy machine does not always allow.
		if err == nil || !strings.Contains(string(out), "accurate CPU usage") {
			break
		}
	}
	require.NoError(t, err, "%s", out)
	return file
}

func inspectFile(t *testing.T, path string) (Info, error) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	stat, err := f.Stat()
	require.NoError(t, err)
	return Inspect(f, stat.Size())
}

func TestFilesOfQemuImg(t *testing.T) {
	base := create(t, "qcow2", "", "1G")
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		format, options string
		want            error
	}{
		{"qcow2", "", nil},
		{"qcow2", "-o compat=0.10", nil},
		{"qcow2", "-o cluster_size=512", nil},
		{"qcow2", "-o cluster_size=2M,extended_l2=on", nil},
		{"qcow2", "-o lazy_refcounts=on,preallocation=metadata", nil},
		{"qcow2", "-o compression_type=zstd", nil},
		{"qcow2", "-o refcount_bits=1", nil},
		{"raw", "", nil},
		{"qcow2", "-b " + base + " -F qcow2", ErrBackingFile},
		{"qcow2", "-o data_file=" + data, ErrExternalData},
		{"qcow2", "-o data_file=" + data + ",data_file_raw=on", ErrExternalData},
		{"vmdk", "", ErrFormat},
		{"vmdk", "-o subformat=monolithicFlat", ErrFormat},
		{"vmdk", "-o subformat=streamOptimized", ErrFormat},
		{"vpc", "", ErrFormat},
		{"vpc", "-o subformat=fixed", ErrFormat},
		{"vhdx", "", ErrFormat},
		{"vdi", "", ErrFormat},
		{"qed", "", ErrFormat},
		{"qcow", "", ErrFormat},
		{"parallels", "", ErrFormat},
		{"luks", "--object secret,id=s,data=x -o key-secret=s,iter-time=10", ErrFormat},
		{"qcow2", "--object secret,id=s,data=x -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", ErrEncrypted},
	} {
		size := "1G"
		if strings.Contains(c.options, "preallocation") {
			size = "64M"
		}
		info, err := inspectFile(t, create(t, c.format, c.options, size))
		require.ErrorIs(t, err, c.want, "%s %s", c.format, c.options)
		if c.want == nil && size == "1G" {
			require.Equal(t, Info{Format(c.format), gib}, info, "%s %s", c.format, c.options)
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(sound(nil))
	f.Add(sound(put64(8, 200)))
	f.Add([]byte("# Disk DescriptorFile"))
	f.Fuzz(func(t *testing.T, image []byte) {
		info, err := inspect(image)
		if err != nil {
			return
		}
		require.LessOrEqual(t, info.VirtualSize, uint64(MaxVirtualSize))
		if info.Format == Qcow2 {
			require.Zero(t, binary.BigEndian.Uint64(image[8:]), "a backing file got through")
		}
	})
}
