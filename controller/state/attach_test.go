package state

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
	statev1 "github.com/novacron/novacron/proto/state/v1"
)

// withDisks gives a machine disks on volumes that stand alone.
func withDisks(ids ...string) func(*statev1.CreateVM) {
	return func(op *statev1.CreateVM) {
		for _, id := range ids {
			op.Spec.Volumes = append(op.Spec.Volumes, &novacronv1.VolumeSpec{Name: id, Pool: "default", Format: "qcow2", Source: proto.String("nc-vol-" + id + ".qcow2")})
		}
	}
}

func changeDisks(change func(*novacronv1.VolumeSpec)) func(*statev1.CreateVM) {
	return func(op *statev1.CreateVM) {
		for _, disk := range op.Spec.Volumes {
			change(disk)
		}
	}
}

func readOnly(disk *novacronv1.VolumeSpec)  { disk.ReadOnly = proto.Bool(true) }
func shareable(disk *novacronv1.VolumeSpec) { disk.Shareable = proto.Bool(true) }

// attachFixture has volumes that are ready on two hosts, one of another project, one with a linked clone, one in the making.
func attachFixture(t *testing.T) *fixture {
	t.Helper()
	f := volumeFixture(t)
	for id, host := range map[string]string{"data": "h1", "logs": "h2", "base": "h1", "secret": "h1"} {
		f.must(createVolume(id, host, 1, func(v *novacronv1.Volume) {
			if id == "secret" {
				v.Spec.Project = "other"
			}
		}))
		f.must(observeVolume(host, id, 1, ready, false))
	}
	f.must(createVolume("clone", "h1", 1, linkedTo("base")))
	f.must(observeVolume("h1", "clone", 1, ready, false))
	f.must(createVolume("young", "h1", 1))
	return f
}

func TestAttachRefusals(t *testing.T) {
	f := attachFixture(t)
	f.must(createVM("web", withDisks("clone")))
	on := func(host string) func(*statev1.CreateVM) {
		return func(op *statev1.CreateVM) { op.Spec.Placement = &novacronv1.Placement{Host: host} }
	}
	for name, c := range map[string]struct {
		change []func(*statev1.CreateVM)
		want   error
		text   string
	}{
		"two hosts":            {[]func(*statev1.CreateVM){withDisks("data", "logs")}, ErrRefused, "volumes[1].source: volume data lies on host h1 and volume logs on host h2"},
		"another host":         {[]func(*statev1.CreateVM){withDisks("data"), on("h2")}, ErrRefused, "volume data lies on host h1, and placement.host asks for h2"},
		"in use":               {[]func(*statev1.CreateVM){withDisks("clone")}, ErrExists, "volume clone is a disk of virtual machine web"},
		"read what is written": {[]func(*statev1.CreateVM){withDisks("clone"), changeDisks(readOnly)}, ErrExists, "virtual machine web"},
		"another project's":    {[]func(*statev1.CreateVM){withDisks("secret")}, ErrRefused, "nc-vol-secret.qcow2 does not belong to project default"},
		"unknown":              {[]func(*statev1.CreateVM){withDisks("nope")}, ErrNotFound, "nc-vol-nope.qcow2 is no volume of the cluster in pool default"},
		"not ready":            {[]func(*statev1.CreateVM){withDisks("young")}, ErrRefused, "volume young is creating"},
		"twice":                {[]func(*statev1.CreateVM){withDisks("data", "data")}, ErrInvalid, "volume data is named twice"},
		"under a clone":        {[]func(*statev1.CreateVM){withDisks("base")}, ErrRefused, "linked clone clone of project default lies on top of it"},
		"another format":       {[]func(*statev1.CreateVM){withDisks("data"), changeDisks(func(d *novacronv1.VolumeSpec) { d.Format = "raw" })}, ErrInvalid, "volume data is qcow2"},
		"another pool":         {[]func(*statev1.CreateVM){withDisks("data"), changeDisks(func(d *novacronv1.VolumeSpec) { d.Pool = "fast" })}, ErrNotFound, "in pool fast"},
	} {
		before := hashOf(t, f.store)
		_, err := f.apply(createVM("vm", c.change...))
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.text, name)
		require.Equal(t, before, hashOf(t, f.store), name)
	}
	f.must(createVM("reader", withDisks("base"), changeDisks(readOnly)))
	f.must(createVM("vm", withDisks("data"), on("h1")))
	f.must(createVM("elsewhere", withDisks("logs"), on("h2")))
}

func TestDisksAreSharedByConsentOfBoth(t *testing.T) {
	for name, c := range map[string]struct {
		first, second func(*novacronv1.VolumeSpec)
		together      bool
	}{
		"two writers":          {func(*novacronv1.VolumeSpec) {}, func(*novacronv1.VolumeSpec) {}, false},
		"two readers":          {readOnly, readOnly, true},
		"a writer to a reader": {readOnly, func(*novacronv1.VolumeSpec) {}, false},
		"a reader to a writer": {func(*novacronv1.VolumeSpec) {}, readOnly, false},
		"both share":           {shareable, shareable, true},
		"one shares":           {shareable, func(*novacronv1.VolumeSpec) {}, false},
		"the other one shares": {func(*novacronv1.VolumeSpec) {}, shareable, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := attachFixture(t)
			f.must(createVM("one", withDisks("data"), changeDisks(c.first)))
			_, err := f.apply(createVM("two", withDisks("data"), changeDisks(c.second)))
			require.Equal(t, c.together, err == nil, err)
			f.must(deleteVM("one")) // it had no host yet
			if !c.together {
				f.must(createVM("two", withDisks("data"), changeDisks(c.second)))
			}
			_, err = f.apply(deleteVolume("data"))
			require.ErrorContains(t, err, "volume data is a disk of virtual machine two")
		})
	}
}

func TestAMachineIsBoundWhereItsVolumesLie(t *testing.T) {
	f := attachFixture(t)
	f.must(createVM("vm", withDisks("data")))
	require.ErrorIs(t, f.bind("vm", "h2"), ErrStale)
	require.NoError(t, f.bind("vm", "h1"))
	require.Equal(t, "data", f.store.View().VolumesUsed(createdSpec(f, "vm"))[0].GetSpec().GetName())
}

func createdSpec(f *fixture, id string) *novacronv1.VMSpec {
	vm, _ := f.store.View().VM(id, "")
	return vm.GetSpec()
}
