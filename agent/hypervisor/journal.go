package hypervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind is what a journal entry is about.
type Kind string

// The kinds of journal entries.
const (
	KindCreate Kind = "create"
	KindDelete Kind = "delete"
	// KindImport is the import of a base image into a pool; its entry has no machine.
	KindImport Kind = "import"
)

// JournalEntry is a piece of work that was begun and not finished.
type JournalEntry struct {
	// ID is the machine's UUID, or the base volume's name of an import.
	ID    string
	Kind  Kind
	Owner Owner
	// Definition is what is being created or deleted.
	Definition *VMDefinition
	// Start says that the create ends with a running machine.
	Start bool
	// Pool is the pool of an import.
	Pool string
	// Volumes are those that the work has begun to make, or is to delete.
	Volumes []VolumeRef
	// Bases are the imported images that the machine uses.
	Bases []BaseRef
	// Steps are those begun, Done those finished, in order.
	Steps []string
	Done  []string
	// Failure is why the create failed and is being undone: it cannot be continued. Empty while it has not.
	Failure string
}

// VolumeRef names a storage volume.
type VolumeRef struct {
	Pool string `json:"pool"`
	Name string `json:"name"`
}

// record is one line of a journal file, version 1. The first line of a file is its header; each later line begins
// or ends a step, or says why the work failed and is undone from there on. A last line that a crash tore counts as not written.
type record struct {
	Version    int           `json:"version,omitempty"`
	ID         string        `json:"id,omitempty"`
	Kind       Kind          `json:"kind,omitempty"`
	Owner      *Owner        `json:"owner,omitempty"`
	Definition *VMDefinition `json:"definition,omitempty"`
	Start      bool          `json:"start,omitempty"`
	Pool       string        `json:"pool,omitempty"`
	Volumes    []VolumeRef   `json:"volumes,omitempty"`
	Bases      []BaseRef     `json:"bases,omitempty"`
	Begin      string        `json:"begin,omitempty"`
	Done       string        `json:"done,omitempty"`
	Failure    string        `json:"failure,omitempty"`
}

const (
	journalVersion = 1
	journalSuffix  = ".journal"
)

// journal is a folder with one file per unfinished piece of work.
type journal struct{ dir string }

func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal folder: %w", err)
	}
	return &journal{dir}, nil
}

func (j *journal) path(id string) string {
	return filepath.Join(j.dir, filepath.Base(id)+journalSuffix)
}

// begin makes the file of a piece of work with its header, on disk before it returns.
func (j *journal) begin(e JournalEntry) error {
	header := record{Version: journalVersion, ID: e.ID, Kind: e.Kind, Owner: &e.Owner, Definition: e.Definition,
		Start: e.Start, Pool: e.Pool, Volumes: e.Volumes, Bases: e.Bases}
	line, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("journal of %s: %w", e.ID, err)
	}
	tmp := j.path(e.ID) + ".new"
	if err := writeSynced(tmp, append(line, '\n'), os.O_CREATE|os.O_TRUNC|os.O_WRONLY); err != nil {
		return fmt.Errorf("journal of %s: %w", e.ID, err)
	}
	if err := os.Rename(tmp, j.path(e.ID)); err != nil {
		return fmt.Errorf("journal of %s: %w", e.ID, err)
	}
	return j.syncDir()
}

// add appends a record, on disk before it returns.
func (j *journal) add(id string, r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal of %s: %w", id, err)
	}
	if err := writeSynced(j.path(id), append(line, '\n'), os.O_APPEND|os.O_WRONLY); err != nil {
		return fmt.Errorf("journal of %s: %w", id, err)
	}
	return nil
}

// end forgets a piece of work, for good when it returns; none is fine.
func (j *journal) end(id string) error {
	if err := j.forget(id); err != nil {
		return err
	}
	return j.syncDir()
}

// forget is end without waiting for the disk. After a power cut the entry may be back, so it is for creates alone:
// to continue a complete one changes nothing.
func (j *journal) forget(id string) error {
	if err := os.Remove(j.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal of %s: %w", id, err)
	}
	return nil
}

// load reads one entry; ErrNotFound where there is none.
func (j *journal) load(id string) (JournalEntry, error) {
	data, err := os.ReadFile(j.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return JournalEntry{}, fmt.Errorf("journal of %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return JournalEntry{}, fmt.Errorf("journal of %s: %w", id, err)
	}
	whole := strings.LastIndexByte(string(data), '\n') + 1
	return parseJournal(id, string(data[:whole]))
}

// resume reads one entry to go on with it: a torn last line is cut off, so that those added later stay whole.
func (j *journal) resume(id string) (JournalEntry, error) {
	data, err := os.ReadFile(j.path(id))
	if err == nil {
		err = os.Truncate(j.path(id), int64(strings.LastIndexByte(string(data), '\n')+1))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return JournalEntry{}, fmt.Errorf("journal of %s: cut off a torn line: %w", id, err)
	}
	return j.load(id)
}

// list reads every entry. Files that cannot be read are reported together and do not hide the others.
func (j *journal) list() ([]JournalEntry, error) {
	names, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("journal folder: %w", err)
	}
	var entries []JournalEntry
	var faults []error
	for _, n := range names {
		id, ok := strings.CutSuffix(n.Name(), journalSuffix)
		if !ok {
			continue
		}
		e, err := j.load(id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		entries = append(entries, e)
	}
	return entries, errors.Join(faults...)
}

func parseJournal(id, text string) (JournalEntry, error) {
	var e JournalEntry
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 4<<20)
	for n := 1; lines.Scan(); n++ {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return e, fmt.Errorf("journal of %s: line %d: %w; remove the file once you know that nothing of %s is left", id, n, err, id)
		}
		if n == 1 && (r.Version < 1 || r.Version > journalVersion) {
			return e, fmt.Errorf("journal of %s: version %d; this program reads 1 to %d: upgrade it", id, r.Version, journalVersion)
		}
		e.apply(r)
	}
	if e.ID != id {
		return e, fmt.Errorf("journal of %s: the header names %q; remove the file once you know that nothing of %s is left", id, e.ID, id)
	}
	if !e.sound() {
		return e, fmt.Errorf("journal of %s: the header is incomplete; remove the file once you know that nothing of %s is left", id, id)
	}
	return e, lines.Err()
}

// sound tells whether the entry has what its kind needs.
func (e *JournalEntry) sound() bool {
	switch e.Kind {
	case KindCreate, KindDelete:
		return e.Definition != nil
	default:
		return e.Kind == KindImport
	}
}

// apply takes one record into the entry.
func (e *JournalEntry) apply(r record) {
	if r.Version > 0 {
		e.ID, e.Kind, e.Definition, e.Start, e.Pool = r.ID, r.Kind, r.Definition, r.Start, r.Pool
		if r.Owner != nil {
			e.Owner = *r.Owner
		}
	}
	e.Volumes = append(e.Volumes, r.Volumes...)
	e.Bases = append(e.Bases, r.Bases...)
	if r.Begin != "" {
		e.Steps = append(e.Steps, r.Begin)
	}
	if r.Done != "" {
		e.Done = append(e.Done, r.Done)
	}
	if r.Failure != "" {
		e.Failure = r.Failure
	}
}

func (e *JournalEntry) begun(step string) bool { return slices.Contains(e.Steps, step) }

func (e *JournalEntry) finished(step string) bool { return slices.Contains(e.Done, step) }

func (j *journal) syncDir() error {
	d, err := os.Open(j.dir)
	if err != nil {
		return fmt.Errorf("journal folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("journal folder: %w", err)
	}
	return nil
}

func writeSynced(path string, data []byte, flags int) error {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
