package forward

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kept is what is remembered of a target, so that nothing is missed until it is told again. Secrets are not in it.
type kept struct {
	Version    int      `json:"version"`
	ID         uint64   `json:"id"`
	Match      []string `json:"match,omitempty"`
	QueueBytes int64    `json:"queue_bytes"`
}

const (
	keptFile    = "target.json"
	keptVersion = 1
	// goneSuffix ends the name of a folder that is being deleted, which no target has.
	goneSuffix = ".gone"
)

var (
	// errNobodys: nothing says whose samples a folder has, as when its target was being deleted or set up at a crash.
	errNobodys = errors.New("nothing says whose queue it is")
	errLater   = errors.New("upgrade this node")
)

func (s *Set) dir(name string) string { return filepath.Join(s.options.Dir, name) }

func isGone(name string) bool {
	name, is := strings.CutSuffix(name, goneSuffix)
	return is && isFolder(name)
}

// recall reads what is remembered of a target.
func (s *Set) recall(name string) (k kept, err error) {
	path := filepath.Join(s.dir(name), keptFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, fmt.Errorf("%w: %w", errNobodys, err)
	}
	if err != nil {
		return kept{}, err
	}
	var only struct { // of which the rest may look like anything
		Version int `json:"version"`
	}
	err = json.Unmarshal(text, &only)
	if err == nil && only.Version > keptVersion {
		return kept{}, fmt.Errorf("%s is of version %d, known is %d: %w", path, only.Version, keptVersion, errLater)
	}
	if err == nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		return kept{}, fmt.Errorf("%w: %s: %w", errNobodys, path, err)
	}
	if k.Version < keptVersion {
		return kept{}, fmt.Errorf("%w: %s has no version", errNobodys, path)
	}
	return k, nil
}

// remember keeps the target of a forward for the next start, unless that cannot be read or is kept.
func (s *Set) remember(f *forward) {
	if f.queue == nil || f.problem != "" || f.kept {
		return
	}
	if err := s.keep(f.target); err != nil {
		s.options.Logger.Warn("a forward will not be known at the next start, and its queue be lost then", "forward", f.target.Name, "error", err)
		return
	}
	f.kept = true
}

// keep writes what is remembered of a target, and brings it into stable storage with the names of its queue's files.
func (s *Set) keep(target Target) error {
	text, err := json.Marshal(kept{Version: keptVersion, ID: target.ID, Match: target.Match, QueueBytes: target.QueueBytes})
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir(target.Name), keptFile)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return errors.Join(syncFolder(s.dir(target.Name)), syncFolder(s.options.Dir))
}

// claim empties a target's folder where what it has is not for that target. What a later release has written stays.
func (s *Set) claim(target Target) error {
	if !isFolder(target.Name) {
		return nil // told by open
	}
	k, err := s.recall(target.Name)
	if errors.Is(err, errNobodys) || err == nil && k.ID != target.ID {
		return s.discard(target.Name)
	}
	return err
}

// disown deletes the folder of a target that has ended, unless a later release has written it.
func (s *Set) disown(name string) error {
	if !isFolder(name) {
		return nil // it never had one
	}
	if _, err := s.recall(name); errors.Is(err, errLater) {
		return err
	}
	return s.discard(name)
}

// discard deletes a folder. A kill in the middle of it leaves nothing that is taken for a queue.
func (s *Set) discard(name string) error {
	dir := s.dir(name)
	if err := os.RemoveAll(dir + goneSuffix); err != nil { // left by one that failed
		return err
	}
	if err := os.Rename(dir, dir+goneSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return errors.Join(syncFolder(s.options.Dir), os.RemoveAll(dir+goneSuffix))
}

// sweep deletes what a discard has left.
func (s *Set) sweep(name string) {
	if err := os.RemoveAll(s.dir(name)); err != nil {
		s.options.Logger.Warn("the queue of a forward that has ended could not be deleted", "folder", name, "error", err)
	}
}

// clear deletes the folders that are nobody's, once it is known who there is.
func (s *Set) clear(wanted map[string]Target) {
	for _, name := range s.strays {
		if _, is := wanted[name]; is {
			continue // it was emptied
		}
		if err := s.discard(name); err != nil {
			s.options.Logger.Warn("a queue that is nobody's could not be deleted", "forward", name, "error", err)
		}
	}
	s.strays = nil
}

// syncFolder brings the names in a folder into stable storage.
func syncFolder(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
