package hypervisor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/fake"
)

func TestOwnerOf(t *testing.T) {
	id, hash := uuid.NewString(), strings.Repeat("ab", 32)
	for name, want := range map[string]hypervisor.OwnerKind{
		hypervisor.VolumeName(id, "root", "qcow2"): hypervisor.OwnerVM,
		hypervisor.VolumeName(id, "data", "raw"):   hypervisor.OwnerVM,
		hypervisor.BaseName(hash, "qcow2"):         hypervisor.OwnerImage,
		hypervisor.StandaloneName(id, "raw"):       hypervisor.OwnerVolume,
		"nc-backup.qcow2":                          hypervisor.OwnerForeign,
		"nc-" + id + ".qcow2":                      hypervisor.OwnerForeign,
		"nc-" + id + "-":                           hypervisor.OwnerForeign,
		"nc-base-" + hash[1:] + ".raw":             hypervisor.OwnerForeign,
		"nc-vol-" + id + ".vmdk":                   hypervisor.OwnerForeign,
		"x-nc-vol-" + id + ".raw":                  hypervisor.OwnerForeign,
		"nc-vol-" + strings.ToUpper(id) + ".raw":   hypervisor.OwnerForeign,
	} {
		kind, _ := hypervisor.OwnerOf(name)
		require.Equal(t, want, kind, name)
	}
}

// put makes a volume behind the manager's back.
func (h *host) put(name string) hypervisor.VolumeRef {
	h.t.Helper()
	_, err := h.driver.CreateVolume(h.t.Context(), hypervisor.VolumeSpec{Pool: "default", Name: name, Format: "raw", CapacityBytes: 1 << 20})
	require.NoError(h.t, err)
	return hypervisor.VolumeRef{Pool: "default", Name: name}
}

// disksOf lists the volumes that carry a machine's id.
func (h *host) disksOf(id string) (names []string) {
	h.t.Helper()
	all, err := h.driver.VolumeNames(h.t.Context(), "default")
	require.NoError(h.t, err)
	for _, name := range all {
		if _, owner := hypervisor.OwnerOf(name); owner == id {
			names = append(names, name)
		}
	}
	require.NotEmpty(h.t, names)
	return names
}

func (h *host) orphans() (names []string) {
	h.t.Helper()
	all, err := h.Stored(h.t.Context(), "")
	require.NoError(h.t, err)
	for _, s := range all {
		if s.Orphan() {
			names = append(names, s.Name)
		}
	}
	return names
}

func TestStoredTellsOwners(t *testing.T) {
	h := newHost(t, fake.Options{})
	id := h.create()
	h.put("foreign.qcow2")
	lost := h.put(hypervisor.VolumeName(uuid.NewString(), "root", "qcow2"))
	all, err := h.Stored(t.Context(), "")
	require.NoError(t, err)
	kinds := map[hypervisor.OwnerKind]int{}
	for _, s := range all {
		kinds[s.Owner]++
		switch {
		case s.Owner == hypervisor.OwnerVM && s.OwnerID == id:
			require.True(t, s.Known)
			require.Len(t, s.UsedBy, 1)
		case s.Owner == hypervisor.OwnerImage:
			require.True(t, s.Known)
		}
	}
	require.Equal(t, len(h.disksOf(id))+1, kinds[hypervisor.OwnerVM], "its disks and one that was lost")
	require.Equal(t, 1, kinds[hypervisor.OwnerForeign])
	require.Equal(t, []string{lost.Name}, h.orphans())
	_, err = h.Stored(t.Context(), "no-such")
	require.ErrorIs(t, err, hypervisor.ErrNotFound)
}

func TestRemoveOrphanTouchesOrphansAlone(t *testing.T) {
	h := newHost(t, fake.Options{})
	h.create()
	h.put("foreign.qcow2")
	before := h.driver.Leftovers()
	all, err := h.Stored(t.Context(), "")
	require.NoError(t, err)
	for _, s := range all {
		err := h.RemoveOrphan(t.Context(), hypervisor.VolumeRef{Pool: s.Pool, Name: s.Name}, nil)
		require.Error(t, err, s.Name)
		require.True(t, errors.Is(err, hypervisor.ErrOwned) || errors.Is(err, hypervisor.ErrForeign) || errors.Is(err, hypervisor.ErrInUse), err)
	}
	require.Equal(t, before, h.driver.Leftovers())

	lost := h.put(hypervisor.VolumeName(uuid.NewString(), "root", "qcow2"))
	wanted := errors.New("the cluster wants it here")
	require.ErrorIs(t, h.RemoveOrphan(t.Context(), lost, func(hypervisor.OwnerKind, string) error { return wanted }), wanted)
	require.Equal(t, []string{lost.Name}, h.orphans())
	require.NoError(t, h.RemoveOrphan(t.Context(), lost, nil))
	require.ErrorIs(t, h.RemoveOrphan(t.Context(), lost, nil), hypervisor.ErrNotFound)
	require.Equal(t, before, h.driver.Leftovers())
}

func TestAVolumeThatADomainNamesIsNoOrphan(t *testing.T) {
	h := newHost(t, fake.Options{})
	taken := h.put(hypervisor.StandaloneName(uuid.NewString(), "raw"))
	info, err := h.driver.Volume(t.Context(), taken.Pool, taken.Name)
	require.NoError(t, err)
	require.Equal(t, []string{taken.Name}, h.orphans())
	require.NoError(t, h.driver.Define(t.Context(), `<domain><name>stranger</name><uuid>`+uuid.NewString()+
		`</uuid><devices><disk><source file="`+info.Path+`"/></disk></devices></domain>`))
	require.Empty(t, h.orphans())
	err = h.RemoveOrphan(t.Context(), taken, nil)
	require.ErrorIs(t, err, hypervisor.ErrOwned)
	require.ErrorContains(t, err, "stranger")
}

// A create of the owner that is under way when the removal comes is waited for, and then nothing is removed.
func TestRemoveOrphanWaitsForACreateOfTheOwner(t *testing.T) {
	id := uuid.NewString()
	entered, proceed := make(chan struct{}), make(chan struct{})
	h := newHost(t, fake.Options{Fault: func(op, _ string) error {
		if op == "Define" {
			close(entered)
			<-proceed
		}
		return nil
	}})
	created := make(chan error, 1)
	go func() { _, err := h.Create(t.Context(), h.order(id)); created <- err }()
	<-entered
	removed := make(chan error, 1)
	ref := hypervisor.VolumeRef{Pool: "default", Name: hypervisor.VolumeName(id, "root", "qcow2")}
	go func() { removed <- h.RemoveOrphan(t.Context(), ref, nil) }()
	close(proceed)
	require.NoError(t, <-created)
	require.ErrorIs(t, <-removed, hypervisor.ErrOwned)
	require.Empty(t, h.orphans())
}
