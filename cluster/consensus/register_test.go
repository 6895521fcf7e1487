package consensus

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
)

// registers is a state machine of named strings with set and compare-and-set.
type registers struct {
	mu     sync.Mutex
	vals   map[string]string
	last   uint64
	count  int
	refuse error // CheckSnapshot's answer
}

type regCmd struct {
	Op, Key, Old, Val string `json:",omitempty"`
}

var errCAS = errors.New("compare-and-set: other value")

// newer is the result of a command of a newer release.
type newer struct{ error }

func (newer) Halt() bool      { return true }
func (n newer) Unwrap() error { return n.error }

func newRegisters() *registers { return &registers{vals: map[string]string{}} }

func setCmd(key, val string) []byte { return mustJSON(regCmd{Op: "set", Key: key, Val: val}) }
func casCmd(key, old, val string) []byte {
	return mustJSON(regCmd{Op: "cas", Key: key, Old: old, Val: val})
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (r *registers) Apply(index uint64, command []byte) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	if index <= r.last {
		panic(fmt.Sprintf("index %d after %d", index, r.last))
	}
	r.last = index
	r.count++
	var c regCmd
	if err := json.Unmarshal(command, &c); err != nil {
		return err
	}
	switch {
	case c.Op == "newer":
		return newer{fmt.Errorf("command %q: %w", c.Op, ErrUpgrade)}
	case c.Op == "cas" && r.vals[c.Key] != c.Old:
		return errCAS
	}
	r.vals[c.Key] = c.Val
	return c.Val
}

func (r *registers) get(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.vals[key]
}

func (r *registers) hash() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%x", sha256.Sum256(mustJSON(r.vals)))
}

func (r *registers) applied() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

type regSnapshot map[string]string

func (r *registers) Snapshot() (Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return regSnapshot(maps.Clone(r.vals)), nil
}

func (s regSnapshot) Write(w io.Writer) error { return json.NewEncoder(w).Encode(map[string]string(s)) }
func (s regSnapshot) Release()                {}

func (r *registers) Restore(rd io.Reader) error {
	b, err := io.ReadAll(rd)
	if err != nil {
		return err
	}
	vals := map[string]string{}
	if err := json.Unmarshal(b, &vals); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vals, r.last = vals, 0
	return nil
}

func (r *registers) CheckSnapshot(rd io.Reader) error {
	_, err := io.Copy(io.Discard, rd)
	return errors.Join(err, r.refuse)
}
