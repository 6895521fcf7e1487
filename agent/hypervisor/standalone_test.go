package hypervisor_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
	"github.com/novacron/novacron/itest/fault"
)

func order(format string) hypervisor.VolumeOrder {
	return hypervisor.VolumeOrder{ID: uuid.NewString(), Pool: "default", Format: format, SizeBytes: 1 << 20}
}

// content is a file to fill a volume with.
func content(t *testing.T, data []byte, format string) func(context.Context) (hypervisor.ImageFile, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "content")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return func(context.Context) (hypervisor.ImageFile, error) {
		return hypervisor.ImageFile{Path: path, Format: format}, nil
	}
}

// qcow2 is the header of an empty image of 1 MiB, on top of a backing file where one is named.
func qcow2(backing string) []byte {
	image := make([]byte, 256<<10)
	copy(image, "QFI\xfb")
	put := binary.BigEndian.PutUint32
	put(image[4:], 3)
	binary.BigEndian.PutUint64(image[24:], 1<<20)
	put(image[20:], 16)
	put(image[36:], 1)
	binary.BigEndian.PutUint64(image[40:], 64<<10)
	binary.BigEndian.PutUint64(image[48:], 128<<10)
	put(image[56:], 1)
	put(image[96:], 4)
	put(image[100:], 104)
	if backing != "" {
		binary.BigEndian.PutUint64(image[8:], 512)
		put(image[16:], uint32(len(backing)))
		copy(image[512:], backing)
	}
	return image
}

func TestAVolumeIsMadeOnceAndGrows(t *testing.T) {
	h := newHost(t, fake.Options{})
	o := order("qcow2")
	for range 2 {
		info, err := h.EnsureVolume(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, hypervisor.StandaloneName(o.ID, "qcow2"), info.Name)
		require.EqualValues(t, 1<<20, info.CapacityBytes)
	}
	o.SizeBytes, o.Made = 3<<20, true
	info, err := h.EnsureVolume(t.Context(), o)
	require.NoError(t, err)
	require.EqualValues(t, 3<<20, info.CapacityBytes)
	for range 2 {
		require.NoError(t, h.RemoveVolume(t.Context(), o.ID, o.Pool, o.Format))
	}
	_, err = h.EnsureVolume(t.Context(), o)
	require.ErrorIs(t, err, hypervisor.ErrLost, "what was complete once never comes back empty")
	h.requireNothing()
}

func TestAVolumeIsFilledAndRead(t *testing.T) {
	h := newHost(t, fake.Options{})
	data := bytes.Repeat([]byte("novacron"), 1000)
	o := order("raw")
	o.SizeBytes, o.Content = uint64(len(data)), content(t, data, "raw")
	_, err := h.EnsureVolume(t.Context(), o)
	require.NoError(t, err)
	var got bytes.Buffer
	sum, err := h.ReadVolume(t.Context(), o.ID, o.Pool, o.Format, &got)
	require.NoError(t, err)
	require.Equal(t, data, got.Bytes())
	want := sha256.Sum256(data)
	require.Equal(t, hex.EncodeToString(want[:]), sum)

	q := order("qcow2")
	q.SizeBytes, q.Content = 2<<20, content(t, qcow2(""), "qcow2")
	info, err := h.EnsureVolume(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, "qcow2", info.Format)
	require.EqualValues(t, 2<<20, info.CapacityBytes)
}

func TestBadContentLeavesNothing(t *testing.T) {
	h := newHost(t, fake.Options{})
	for name, c := range map[string]struct {
		format string
		data   []byte
		text   string
	}{
		"backing file": {"qcow2", qcow2("/etc/passwd"), "backing file"},
		"declared raw": {"raw", qcow2(""), "declared raw, stored qcow2"},
		"declared cow": {"qcow2", bytes.Repeat([]byte("x"), 4096), "declared qcow2, stored raw"},
		"too large":    {"raw", make([]byte, 2<<20), "larger than"},
		"empty":        {"raw", nil, "empty"},
	} {
		o := order(c.format)
		o.Content = content(t, c.data, c.format)
		_, err := h.EnsureVolume(t.Context(), o)
		require.ErrorContains(t, err, c.text, name)
		h.requireNothing()
	}
	o := order("raw")
	o.Content = func(context.Context) (hypervisor.ImageFile, error) {
		return hypervisor.ImageFile{}, errors.New("no peer has it")
	}
	_, err := h.EnsureVolume(t.Context(), o)
	require.ErrorContains(t, err, "no peer has it")
	_, err = h.EnsureVolume(t.Context(), hypervisor.VolumeOrder{ID: "../x", Pool: "default", Format: "raw"})
	require.ErrorIs(t, err, hypervisor.ErrForeign)
	h.requireNothing()
}

func TestClones(t *testing.T) {
	h := newHost(t, fake.Options{})
	source := order("raw")
	data := []byte(strings.Repeat("s", 1<<20))
	source.Content = content(t, data, "raw")
	_, err := h.EnsureVolume(t.Context(), source)
	require.NoError(t, err)
	from := hypervisor.VolumeRef{Pool: "default", Name: hypervisor.StandaloneName(source.ID, "raw")}

	full := order("raw")
	full.Source, full.SourceFormat, full.SizeBytes = from, "raw", 2<<20
	info, err := h.EnsureVolume(t.Context(), full)
	require.NoError(t, err)
	require.EqualValues(t, 2<<20, info.CapacityBytes)
	require.Empty(t, info.BackingPath)
	var got bytes.Buffer
	_, err = h.ReadVolume(t.Context(), full.ID, "default", "raw", &got)
	require.NoError(t, err)
	require.Equal(t, data, got.Bytes()[:1<<20])

	linked := order("qcow2")
	linked.Source, linked.SourceFormat, linked.Linked = from, "raw", true
	info, err = h.EnsureVolume(t.Context(), linked)
	require.NoError(t, err)
	require.NotEmpty(t, info.BackingPath)
	_, err = h.ReadVolume(t.Context(), linked.ID, "default", "qcow2", &got)
	require.ErrorContains(t, err, "clone it in full")
	require.ErrorIs(t, h.RemoveVolume(t.Context(), source.ID, "default", "raw"), hypervisor.ErrInUse)
	grown := source
	grown.SizeBytes, grown.Made = 4<<20, true
	_, err = h.EnsureVolume(t.Context(), grown)
	require.ErrorIs(t, err, hypervisor.ErrInUse)
	for _, o := range []hypervisor.VolumeOrder{linked, full, source} {
		require.NoError(t, h.RemoveVolume(t.Context(), o.ID, o.Pool, o.Format))
	}
	h.requireNothing()
}

func TestAnAttachedVolumeIsLeftAlone(t *testing.T) {
	h := newHost(t, fake.Options{})
	o := order("raw")
	info, err := h.EnsureVolume(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, h.driver.Define(t.Context(), `<domain><name>web</name><uuid>`+uuid.NewString()+
		`</uuid><devices><disk type="volume"><source pool="default" volume="`+info.Name+`"/></disk></devices></domain>`))
	before := h.driver.Leftovers()
	err = h.RemoveVolume(t.Context(), o.ID, o.Pool, o.Format)
	require.ErrorIs(t, err, hypervisor.ErrInUse)
	require.ErrorContains(t, err, "domain web")
	_, err = h.ReadVolume(t.Context(), o.ID, o.Pool, o.Format, &bytes.Buffer{})
	require.ErrorIs(t, err, hypervisor.ErrInUse)
	o.SizeBytes, o.Made = 9<<20, true
	_, err = h.EnsureVolume(t.Context(), o)
	require.ErrorIs(t, err, hypervisor.ErrInUse)
	clone := order("raw")
	clone.Source, clone.SourceFormat = hypervisor.VolumeRef{Pool: "default", Name: info.Name}, "raw"
	_, err = h.EnsureVolume(t.Context(), clone)
	require.ErrorIs(t, err, hypervisor.ErrInUse)
	require.Equal(t, before, h.driver.Leftovers())
}

// A death at any step of the making leaves what the next life makes whole, or takes away.
func TestADeathWhileAVolumeIsMade(t *testing.T) {
	for _, point := range hypervisor.FaultPoints() {
		if !strings.HasPrefix(point, "hypervisor.import.") {
			continue
		}
		for _, again := range []bool{true, false} {
			h := newHost(t, fake.Options{})
			o := order("raw")
			o.Content = content(t, make([]byte, 1<<20), "raw")
			h.dieAt(point, o)
			if again {
				info, err := h.EnsureVolume(t.Context(), o)
				require.NoError(t, err, point)
				require.EqualValues(t, 1<<20, info.CapacityBytes)
				require.Empty(t, pendingOf(t, h))
			}
			require.NoError(t, h.RemoveVolume(t.Context(), o.ID, o.Pool, o.Format))
			h.requireNothing()
		}
	}
}

// dieAt begins to make a volume, and ends the process at a point of it.
func (h *host) dieAt(point string, o hypervisor.VolumeOrder) {
	h.t.Helper()
	faults := fault.New()
	faults.Arm(point, fault.Hang)
	h.restart(faults)
	ctx, die := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { _, err := h.EnsureVolume(ctx, o); ended <- err }()
	require.Eventually(h.t, func() bool { return faults.Hits(point) > 0 }, patience, time.Millisecond)
	die()
	require.Error(h.t, <-ended)
	h.restart(nil)
}

func pendingOf(t *testing.T, h *host) []hypervisor.JournalEntry {
	t.Helper()
	entries, err := h.Pending(t.Context())
	require.NoError(t, err)
	return entries
}
