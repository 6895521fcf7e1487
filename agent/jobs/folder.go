package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/novacron/novacron/agent/collect"
)

// epochFile says in a source's folder which assignment what lies there is of.
const epochFile = "epoch"

// stateFolder gives the folder of a source. What lies there counts only in the epoch that it is of, and in the next one of
// this host: had another host the source in between, its counters went on there.
func stateFolder(root, name string, epoch, continued uint64) (string, error) {
	if name != filepath.Base(name) || name == "" || name == "." || name == ".." {
		return "", fmt.Errorf("metric source %q: its name is no name of a folder", name)
	}
	dir := filepath.Join(root, name)
	mark := collect.FileState{Path: filepath.Join(dir, epochFile)}
	was, err := epochOf(dir)
	if err != nil {
		return "", fmt.Errorf("metric source %s: %w", name, err)
	}
	if was == epoch && epoch != 0 {
		return dir, nil
	}
	if was == 0 || was != continued {
		err = os.RemoveAll(dir)
	}
	if err = errors.Join(err, os.MkdirAll(dir, 0o700)); err != nil {
		return "", fmt.Errorf("metric source %s: its folder: %w", name, err)
	}
	return dir, mark.Save(context.Background(), strconv.AppendUint(nil, epoch, 10))
}
