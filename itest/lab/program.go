package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Program returns the path of a program of a Debian package, to compare with: the installed one, else one that is
// unpacked into the user's cache, without installing anything or starting a service. The name is its path in the package.
func Program(ctx context.Context, pkg, name string) (string, error) {
	if installed, err := exec.LookPath(path.Base(name)); err == nil {
		return installed, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "novacron", "programs")
	file := filepath.Join(dir, path.Base(name))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return file, unpackProgram(ctx, pkg, name, file)
}

func unpackProgram(ctx context.Context, pkg, name, file string) error {
	work, err := os.MkdirTemp(filepath.Dir(file), "unpack-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) // what is left of it is only space
	if _, err := packageFiles(ctx, []string{pkg}); err != nil {
		return err // it also fetches the lists that a fresh machine lacks
	}
	files, err := unpack(ctx, work, []string{pkg}, func(n string) bool { return n == name })
	if err != nil {
		return err
	}
	content, err := files.open(name)
	if err != nil {
		return fmt.Errorf("package %s: %w", pkg, err)
	}
	ready := filepath.Join(work, "program")
	if err := os.WriteFile(ready, content, 0o755); err != nil {
		return err
	}
	return os.Rename(ready, file)
}
