package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Errors that callers tell apart.
var (
	ErrNoLab       = errors.New("lab: no lab")
	ErrLabExists   = errors.New("lab: a lab exists already")
	ErrNoHost      = errors.New("lab: no such host")
	ErrHostExists  = errors.New("lab: a host of this name exists already")
	ErrHostDown    = errors.New("lab: host is down")
	ErrHostUp      = errors.New("lab: host is up already")
	ErrUnsupported = errors.New("lab: this machine cannot run a lab")
)

// downPatience bounds the clean-up after a failure whose own context may have ended.
const downPatience = 20 * time.Second

// Options changes how a lab is made; the zero value is good.
type Options struct {
	// Isolated leaves out the veth pair by which the machine itself reaches the hosts.
	Isolated bool
	// Logger hears of every host that comes and goes; nil is silent.
	Logger *slog.Logger
}

// Lab is a set of hosts on one bridge. It outlives the process that made it: all its state is in its folder, in
// namespaces and in cgroups, so any process of root may Open it and act on it, several at the same time too.
type Lab struct {
	dir string
	id  string
	log *slog.Logger
	rec record // as of New or Open: identity and subnet never change, hosts are read anew
}

// New makes an empty lab in the folder, which it creates when missing. The same folder cannot hold two.
func New(ctx context.Context, dir string, opts Options) (*Lab, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	// From the choice of a subnet until the machine shows it, lest two labs take the same.
	unlock, err := lockMachine(ctx, "network")
	if err != nil {
		return nil, err
	}
	defer unlock()
	l, err := prepare(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	if err := l.addSwitch(ctx); err != nil {
		return nil, errors.Join(err, l.cleanUp(ctx))
	}
	l.log.Info("lab is up", "dir", l.dir, "network", address(l.rec.Subnet, 0)+"/24")
	return l, nil
}

// prepare writes the state file before anything exists in the kernel: Down after a crash at any later point works.
func prepare(ctx context.Context, dir string, opts Options) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "hosts"), 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := readRecord(dir); !errors.Is(err, ErrNoLab) {
		return nil, fmt.Errorf("%w in %s: Open it, or take it down first", ErrLabExists, dir)
	}
	subnet, err := freeSubnet(firstSubnet(dir))
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, id: labID(dir), log: logger(opts.Logger)}
	l.rec = record{Version: stateVersion, ID: l.id, Subnet: subnet, Isolated: opts.Isolated}
	return l, errors.Join(l.rec.write(dir), l.rec.writeHosts(l.hostsFile()))
}

// Open finds the lab that some process made in the folder; ErrNoLab when there is none.
func Open(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	rec, err := readRecord(dir)
	if err != nil {
		return nil, err
	}
	return &Lab{dir: dir, id: rec.ID, log: logger(nil), rec: rec}, nil
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return l
}

// LogTo sets who hears of hosts that come and go.
func (l *Lab) LogTo(log *slog.Logger) { l.log = logger(log) }

// Dir is the folder of the lab.
func (l *Lab) Dir() string { return l.dir }

// OutsideIP is the address of the machine itself on the network of the lab; empty for an isolated lab.
func (l *Lab) OutsideIP() string {
	if l.rec.Isolated {
		return ""
	}
	return address(l.rec.Subnet, outsideIP)
}

// Up adds hosts with libvirt until there are n, named h1, h2 and so on; two at a time.
func (l *Lab) Up(ctx context.Context, n int) ([]*Host, error) {
	hosts := make([]*Host, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i := range hosts {
		g.Go(func() (err error) {
			name := fmt.Sprintf("h%d", i+1)
			hosts[i], err = l.Host(name)
			if errors.Is(err, ErrNoHost) {
				hosts[i], err = l.AddHost(ctx, name)
			}
			return err
		})
	}
	return hosts, g.Wait()
}

// AddHost adds a host that runs a libvirt daemon of its own and waits until that answers.
func (l *Lab) AddHost(ctx context.Context, name string) (*Host, error) {
	return l.add(ctx, name, true)
}

// AddNode adds a host without libvirt: for controllers and clients.
func (l *Lab) AddNode(ctx context.Context, name string) (*Host, error) {
	return l.add(ctx, name, false)
}

func (l *Lab) add(ctx context.Context, name string, libvirt bool) (*Host, error) {
	if !hostName.MatchString(name) {
		return nil, fmt.Errorf("lab: host name %q: want %s", name, hostName)
	}
	var rec hostRecord
	err := l.update(ctx, func(r *record) (err error) {
		rec, err = r.add(name, libvirt)
		return err
	})
	if err != nil {
		return nil, err
	}
	h := l.host(rec)
	if err = h.prepare(); err == nil {
		err = h.Boot(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, h.Remove(context.WithoutCancel(ctx)))
	}
	return h, nil
}

// Host finds a host by its name; ErrNoHost when there is none.
func (l *Lab) Host(name string) (*Host, error) {
	r, err := readRecord(l.dir)
	if err != nil {
		return nil, err
	}
	if h := r.find(name); h != nil {
		return l.host(*h), nil
	}
	return nil, fmt.Errorf("%w: %q in %s", ErrNoHost, name, l.dir)
}

// Hosts lists all hosts, running or not, in the order of their creation.
func (l *Lab) Hosts() ([]*Host, error) {
	r, err := readRecord(l.dir)
	if err != nil {
		return nil, err
	}
	hosts := make([]*Host, 0, len(r.Hosts))
	for _, h := range r.Hosts {
		hosts = append(hosts, l.host(h))
	}
	return hosts, nil
}

func (l *Lab) hostsFile() string { return filepath.Join(l.dir, "hosts.txt") }

// Down takes everything away: processes, namespaces, interfaces, cgroups and the files of the lab. It works on what
// is left of a half-made lab and may be repeated.
func (l *Lab) Down(ctx context.Context) error {
	hosts, err := l.Hosts()
	if err != nil && !errors.Is(err, ErrNoLab) {
		l.log.Warn("state file is damaged, going by names", "error", err)
	}
	var errs []error
	for _, h := range hosts {
		errs = append(errs, h.stop(ctx))
	}
	errs = append(errs, l.removeCgroups(ctx, l.id+"-*"), l.removeNamespaces(ctx))
	if err := errors.Join(errs...); err != nil {
		return err // the state file stays, so that Down can be tried again
	}
	for _, name := range []string{"hosts", "hosts.txt", stateFile, stateFile + ".new"} {
		errs = append(errs, os.RemoveAll(filepath.Join(l.dir, name)))
	}
	_ = os.Remove(l.dir) // only when nobody else put something there
	l.log.Info("lab is down", "dir", l.dir)
	return errors.Join(errs...)
}

func (l *Lab) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downPatience)
	defer cancel()
	return l.Down(ctx)
}
