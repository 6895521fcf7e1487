package lab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hierarchy is one tree of control groups. This machine has a single one (cgroup v2) or one a controller (v1).
type hierarchy struct {
	mount       string   // where the machine has it mounted
	controllers []string // of a v1 tree; none for v2
}

// leaf is the folder for the processes of a v2 host itself: the kernel forbids them in a folder whose controllers
// are handed on to guests. In v1 trees they sit in the host's folder.
const leaf = "init"

func (t hierarchy) v2() bool { return len(t.controllers) == 0 }

// hierarchies lists the trees that a host gets: those of libvirt's controllers.
func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v1, v2, err := parseMountinfo(f)
	if err != nil {
		return nil, err
	}
	// A machine may have both kinds mounted; the controllers are in one of them.
	if v2 != "" && (len(v1) == 0 || hasController(v2, "memory")) {
		return []hierarchy{{mount: v2}}, nil
	}
	return v1, nil
}

func hasController(v2, name string) bool {
	b, err := os.ReadFile(filepath.Join(v2, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(b)), name)
}

// parseMountinfo reads lines like «31 23 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct».
func parseMountinfo(r io.Reader) (v1 []hierarchy, v2 string, err error) {
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		head, tail, ok := strings.Cut(lines.Text(), " - ")
		place, kind := strings.Fields(head), strings.Fields(tail)
		if !ok || len(place) < 5 || len(kind) < 3 {
			continue
		}
		switch kind[0] {
		case "cgroup2":
			v2 = place[4]
		case "cgroup":
			c := libvirtControllers(kind[2])
			if key := strings.Join(c, ","); key != "" && !seen[key] {
				seen[key] = true
				v1 = append(v1, hierarchy{mount: place[4], controllers: c})
			}
		}
	}
	return v1, v2, lines.Err()
}

func libvirtControllers(options string) []string {
	known := []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "net_cls", "net_prio", "perf_event", "hugetlb"}
	return slices.DeleteFunc(strings.Split(options, ","), func(o string) bool { return !slices.Contains(known, o) })
}

// makeCgroups creates the host's folder in every tree.
func (h *Host) makeCgroups() error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	for _, t := range trees {
		dir := filepath.Join(t.mount, h.netns())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if t.v2() {
			err = os.MkdirAll(filepath.Join(dir, leaf), 0o755)
		}
		if slices.Contains(t.controllers, "cpuset") {
			err = inheritCpuset(t.mount, dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inheritCpuset fills in what a new v1 cpuset has empty: nothing can run in it before.
func inheritCpuset(parent, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// joinFiles are the files by which a process enters the host's folders (roots), and after that the place in them
// where it may stay (leaves).
func (h *Host) joinFiles() (roots, leaves []string, err error) {
	trees, err := hierarchies()
	for _, t := range trees {
		dir := filepath.Join(t.mount, h.netns())
		roots = append(roots, filepath.Join(dir, "cgroup.procs"))
		if t.v2() {
			leaves = append(leaves, filepath.Join(dir, leaf, "cgroup.procs"))
		}
	}
	return roots, leaves, err
}

// removeCgroups kills what runs in the folders that match, then removes them, in every tree.
func (l *Lab) removeCgroups(ctx context.Context, pattern string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range trees {
		dirs, err := filepath.Glob(filepath.Join(t.mount, pattern))
		errs = append(errs, err)
		for _, dir := range dirs {
			// A dying process holds its folder for a moment.
			errs = append(errs, retry(ctx, func() error { return removeTree(dir) }))
		}
	}
	return errors.Join(errs...)
}

// removeTree makes one attempt: kill everything, remove the folders from the leaves up.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
			killAll(filepath.Join(path, "cgroup.procs"))
		}
		return nil // what vanishes meanwhile needs no removing
	})
	slices.Reverse(dirs)
	for _, d := range dirs {
		if e := os.Remove(d); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
