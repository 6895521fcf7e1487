package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// tree holds files of unpacked packages by their path without a leading slash. Links are followed by open.
type tree struct {
	files map[string][]byte
	links map[string]string
}

// open returns a file; a path may lead over links and through /lib or /bin where these point into /usr.
func (t tree) open(name string) ([]byte, error) {
	for range 8 {
		for _, try := range []string{name, "usr/" + name} {
			if b, ok := t.files[try]; ok {
				return b, nil
			}
			if to, ok := t.links[try]; ok {
				name = strings.TrimPrefix(path.Join("/", path.Dir(try), to), "/")
				if path.IsAbs(to) {
					name = to[1:]
				}
				break
			}
		}
	}
	return nil, fmt.Errorf("lab: the packages hold no file %s", name)
}

// byBase finds a file by the last part of its name, wherever it is. Two of that name are an error: which one is meant
// would be a matter of luck.
func (t tree) byBase(base string) ([]byte, error) {
	var found []string
	for name := range t.files {
		if path.Base(name) == base {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("lab: the packages hold %d files called %s: %s: name one by its path", len(found), base, strings.Join(found, ", "))
	}
	if len(found) == 1 {
		return t.files[found[0]], nil
	}
	for name := range t.links {
		if path.Base(name) == base {
			return t.open(name)
		}
	}
	return nil, fmt.Errorf("lab: the packages hold no file called %s", base)
}

// packageFiles names the archive files, with versions, that apt would download now; the package lists are fetched
// when apt does not know the packages, as on a fresh machine.
func packageFiles(ctx context.Context, names []string) ([]string, error) {
	out, err := aptURIs(ctx, names)
	if err != nil {
		out, err = updatedURIs(ctx, names, err)
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 2 {
			files = append(files, f[1])
		}
	}
	if len(files) != len(names) {
		return nil, fmt.Errorf("lab: apt knows %d files for the %d packages %v", len(files), len(names), names)
	}
	return files, nil
}

// updatedURIs fetches the lists, one process at a time: apt refuses the second. Whoever waited may find them there.
func updatedURIs(ctx context.Context, names []string, unknown error) ([]byte, error) {
	unlock, err := lockMachine(ctx, "apt")
	if err != nil {
		return nil, errors.Join(unknown, err)
	}
	defer unlock()
	if out, err := aptURIs(ctx, names); err == nil {
		return out, nil
	}
	if _, err := apt(ctx, "", "update", "-qq"); err != nil {
		return nil, errors.Join(unknown, err)
	}
	return aptURIs(ctx, names)
}

func aptURIs(ctx context.Context, names []string) ([]byte, error) {
	return apt(ctx, "", append([]string{"download", "--print-uris"}, names...)...)
}

func apt(ctx context.Context, dir string, args ...string) ([]byte, error) {
	argv := append([]string{"-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=5"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", argv...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("lab: apt-get %s: %w: %s: the guest is built from Debian packages, so apt and a mirror must work", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// dependency returns the one package whose name starts with the prefix among those that a metapackage depends on.
func dependency(ctx context.Context, meta, prefix string) (string, error) {
	out, err := run(ctx, "", "apt-cache", "depends", meta)
	if err != nil {
		return "", err
	}
	for f := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(f, prefix) && f != meta {
			return f, nil
		}
	}
	return "", fmt.Errorf("lab: package %s depends on no %s…", meta, prefix)
}

// unpack downloads packages into the folder and reads the files that keep wants, without installing anything.
func unpack(ctx context.Context, dir string, names []string, keep func(name string) bool) (tree, error) {
	t := tree{files: map[string][]byte{}, links: map[string]string{}}
	if _, err := apt(ctx, dir, append([]string{"download", "-qq"}, names...)...); err != nil {
		return t, err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return t, err
	}
	for _, deb := range debs {
		if err := t.addPackage(ctx, deb, keep); err != nil {
			return t, fmt.Errorf("lab: unpack %s: %w", deb, err)
		}
		if err := os.Remove(deb); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t tree) addPackage(ctx context.Context, deb string, keep func(string) bool) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = t.addTar(tar.NewReader(out), keep)
	_, _ = io.Copy(io.Discard, out) // the rest, lest the program waits for a reader
	return errors.Join(err, cmd.Wait())
}

func (t tree) addTar(r *tar.Reader, keep func(string) bool) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path.Clean(h.Name), "/")
		switch {
		case h.Typeflag == tar.TypeSymlink:
			t.links[name] = h.Linkname
		case h.Typeflag == tar.TypeReg && keep(name):
			if t.files[name], err = io.ReadAll(r); err != nil {
				return err
			}
		}
	}
}
