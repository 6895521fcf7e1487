//go:build cgo && libvirt_dlopen

package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/agent/hypervisor/libvirt"
	"github.com/novacron/novacron/itest/lab"
	"github.com/novacron/novacron/vm"
)

const (
	pool = "default"
	// rounds is how often each side creates and deletes one guest, in turns.
	rounds = 25
	// workers and burst are for the rate: that many guests, that many at a time.
	workers = 8
	burst   = 16
	bursts  = 2
)

// side is one of the two that are compared. Both make the same guest: an overlay of one image, a domain, started.
type side interface {
	create(ctx context.Context, g guest) error
	delete(ctx context.Context, g guest) error
}

// guest is one machine to be made.
type guest struct{ def *vm.Definition }

func newGuest(side string, n int) guest {
	def := vm.Normalise(vm.Definition{
		Name: fmt.Sprintf("%s-%d", side, n), UUID: uuid.NewString(), CPUs: 1, MemoryMB: 64, DiskGB: 1, Image: "disk", Pool: pool,
		NetworkInterfaces: []vm.NetworkInterface{{}},
	}, vm.Defaults{NewMAC: func() string { return fmt.Sprintf("52:54:00:%02x:00:%02x", side[0], n) }})
	return guest{&def}
}

func (g guest) volume() string { return hypervisor.VolumeName(g.def.UUID, "root", "qcow2") }

// ours goes through the manager: journal, metadata and read-back included.
type ours struct {
	manager *hypervisor.Manager
	images  image
}

func (o ours) create(ctx context.Context, g guest) error {
	_, err := o.manager.Create(ctx, hypervisor.CreateSpec{Definition: g.def, Owner: hypervisor.Owner{ClusterID: "bench", Epoch: 1}, Images: o.images, Start: true})
	return err
}

func (o ours) delete(ctx context.Context, g guest) error {
	return o.manager.Delete(ctx, g.def.UUID, hypervisor.DeleteOptions{Force: true})
}

// theirs is one virsh process for each create and each delete, with the domain's XML written beforehand.
type theirs struct {
	uri, dir, base, accelerator string
}

func (p theirs) virsh(ctx context.Context, commands ...string) error {
	out, err := exec.CommandContext(ctx, "virsh", "-q", "-c", p.uri, strings.Join(commands, "; ")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (p theirs) file(g guest) string { return filepath.Join(p.dir, g.def.UUID+".xml") }

func (p theirs) write(g guest) error {
	template := hypervisor.Template{Accelerator: p.accelerator}
	text, err := template.GenerateXML(g.def)
	if err != nil {
		return err
	}
	return os.WriteFile(p.file(g), []byte(text), 0o600)
}

func (p theirs) create(ctx context.Context, g guest) error {
	return p.virsh(ctx,
		fmt.Sprintf("vol-create-as %s %s 1G --format qcow2 --backing-vol %s --backing-vol-format qcow2", pool, g.volume(), p.base),
		"define "+p.file(g), "start "+g.def.Name)
}

func (p theirs) delete(ctx context.Context, g guest) error {
	return p.virsh(ctx, "destroy "+g.def.Name, "undefine "+g.def.Name, fmt.Sprintf("vol-delete %s --pool %s", g.volume(), pool))
}

// image is the single image of the benchmark.
type image struct{ file hypervisor.ImageFile }

func (i image) Image(context.Context, string) (hypervisor.ImageFile, error) { return i.file, nil }

func newImage(t *testing.T) image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", path, "64M").CombinedOutput()
	require.NoError(t, err, "%s", out)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(data)
	return image{hypervisor.ImageFile{Path: path, SHA256: hex.EncodeToString(sum[:]), Format: vm.FormatQcow2}}
}

// TestBench prints a line per figure. It takes two minutes and needs a machine that is otherwise idle.
func TestBench(t *testing.T) {
	if os.Getenv("NOVACRON_BENCH") != "1" {
		t.Skip("a benchmark: set NOVACRON_BENCH=1")
	}
	if err := lab.Supported(); err != nil {
		t.Skipf("no lab: %v", err)
	}
	o, p := setUp(t)
	createP50, deleteP50 := latencies(t, o, p)
	report("create_p50", createP50, func(d time.Duration) string { return fmt.Sprintf("%.1fms", d.Seconds()*1e3) })
	report("delete_p50", deleteP50, func(d time.Duration) string { return fmt.Sprintf("%.1fms", d.Seconds()*1e3) })
	report("create_rate", rates(t, o, p), func(d time.Duration) string { return fmt.Sprintf("%.2f/s", burst*bursts/d.Seconds()) })
}

func setUp(t *testing.T) (ours, theirs) {
	t.Helper()
	l, err := lab.New(t.Context(), t.TempDir(), lab.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Down(context.WithoutCancel(t.Context()))) })
	host, err := l.AddHost(t.Context(), "h1")
	require.NoError(t, err)
	uri, err := host.URI()
	require.NoError(t, err)
	driver, err := libvirt.Open(t.Context(), libvirt.Options{URI: uri})
	require.NoError(t, err)
	manager, err := hypervisor.New(hypervisor.Config{Driver: driver, ClusterID: "bench", JournalDir: t.TempDir(), KeepUnusedBases: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, manager.Close()) })
	facts, err := manager.HostFacts(t.Context())
	require.NoError(t, err)
	images := newImage(t)
	return ours{manager, images}, theirs{uri, t.TempDir(), hypervisor.BaseName(images.file.SHA256, "qcow2"), facts.Accelerator}
}

// pair is a figure of both sides.
type pair struct{ ours, theirs time.Duration }

// report prints a figure: the shorter time is the better one, whatever it is shown as.
func report(metric string, p pair, show func(time.Duration) string) {
	fmt.Printf("bench vm %s peer=virsh ours=%s theirs=%s ratio=%.2f\n", metric, show(p.ours), show(p.theirs), p.theirs.Seconds()/p.ours.Seconds())
}

// latencies lets both sides create and delete in turns, after one round that warms up and imports the image.
func latencies(t *testing.T, o ours, p theirs) (create, remove pair) {
	t.Helper()
	var created, removed [2][]time.Duration
	for round := range rounds + 1 {
		// Who goes first changes from round to round.
		for i := range 2 {
			who := (round + i) % 2
			g, s := newGuest([]string{"ours", "theirs"}[who], round), []side{o, p}[who]
			if round == 0 {
				// The base image is there once we have created.
				g, s = newGuest([]string{"ours", "theirs"}[i], round), []side{o, p}[i]
			}
			require.NoError(t, p.write(g))
			c := timed(t, func() error { return s.create(t.Context(), g) })
			d := timed(t, func() error { return s.delete(t.Context(), g) })
			if round > 0 {
				created[who], removed[who] = append(created[who], c), append(removed[who], d)
			}
		}
	}
	return pair{median(created[0]), median(created[1])}, pair{median(removed[0]), median(removed[1])}
}

func timed(t *testing.T, do func() error) time.Duration {
	t.Helper()
	start := time.Now()
	require.NoError(t, do())
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// rates is the time that each side takes for the same number of guests, several at a time.
func rates(t *testing.T, o ours, p theirs) pair {
	t.Helper()
	var total pair
	for b := range bursts {
		// Who goes first changes here too.
		if b%2 == 0 {
			total.ours += burstOf(t, o, p, "ours", b)
		}
		total.theirs += burstOf(t, p, p, "theirs", b)
		if b%2 == 1 {
			total.ours += burstOf(t, o, p, "ours", b)
		}
	}
	return total
}

func burstOf(t *testing.T, s side, p theirs, name string, b int) time.Duration {
	t.Helper()
	var guests []guest
	for n := range burst {
		g := newGuest(name, b*burst+n)
		require.NoError(t, p.write(g))
		guests = append(guests, g)
	}
	took := timed(t, func() error { return each(guests, func(g guest) error { return s.create(t.Context(), g) }) })
	require.NoError(t, each(guests, func(g guest) error { return s.delete(t.Context(), g) }))
	return took
}

// each works on the guests with a few workers and returns the first error.
func each(guests []guest, do func(guest) error) error {
	queue := make(chan guest, len(guests))
	for _, g := range guests {
		queue <- g
	}
	close(queue)
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for g := range queue {
				if err := do(g); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}
