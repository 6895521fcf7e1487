package hypervisor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/novacron/novacron/itest/fault"
	"github.com/novacron/novacron/vm"
)

// undoTimeout bounds the clean-up after a failed create.
const undoTimeout = 2 * time.Minute

// creation is one create on its way.
type creation struct {
	*Manager
	spec  CreateSpec
	def   *VMDefinition
	entry JournalEntry
	// ended is the step that is over and not yet in the journal: it goes there with the beginning of the next.
	ended string
	// bases are the imported images, kept from collection until the create is over.
	bases []BaseRef
}

// Create makes a machine, step by step through the journal, and returns its UUID. It is idempotent: it goes on with
// what a crash left of the same create, and adopts the machine where it is complete. When a step fails, all before it
// is undone; where that fails too, the error is ErrHalfDone as well, and the next Create ends the undoing and tells the
// first reason again. When the context ends or the hypervisor is away, the create is left in the journal, to be continued
// by Create or ended by Undo.
func (m *Manager) Create(ctx context.Context, spec CreateSpec) (string, error) {
	def, err := complete(spec.Definition)
	if err != nil {
		return "", err
	}
	if err := m.checkOwner(spec.Owner); err != nil {
		return "", fmt.Errorf("create %s: %w", def.Name, err)
	}
	id, ctx := def.UUID, fault.On(ctx, def.Name)
	release, err := m.machines.lock(ctx, id)
	if err != nil {
		return "", err
	}
	defer release()
	c := &creation{Manager: m, spec: spec, def: def}
	if err := c.run(ctx); err != nil {
		return "", fmt.Errorf("create %s (%s): %w", def.Name, id, err)
	}
	return id, nil
}

// complete fills in what has one possible value, and names what only the caller can choose: a create that is
// repeated must come out the same.
func complete(def *VMDefinition) (*VMDefinition, error) {
	if def == nil {
		return nil, errors.New("create: the definition is missing")
	}
	if err := vm.Validate(*def); err != nil {
		return nil, fmt.Errorf("create %s: %w", def.Name, err)
	}
	normal := vm.Normalise(*def, vm.Defaults{})
	if normal.UUID == "" {
		return nil, fmt.Errorf("create %s: uuid is empty; fill it in with vm.Normalise first", def.Name)
	}
	for i, n := range normal.NetworkInterfaces {
		if n.MAC == "" {
			return nil, fmt.Errorf("create %s: networkInterfaces[%d].mac is empty; fill it in with vm.Normalise first", def.Name, i)
		}
	}
	return &normal, nil
}

func (c *creation) run(ctx context.Context) error {
	entry, journaled, err := c.unfinished(ctx)
	if err != nil {
		return err
	}
	domain, meta, err := c.ours(ctx, c.def.UUID)
	switch {
	case err == nil && !journaled:
		return c.adopt(ctx, domain, meta)
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	c.entry = entry
	defer func() { c.pins.release(c.bases) }()
	if err := c.steps(ctx, journaled); err != nil {
		return c.abandon(ctx, err)
	}
	return nil
}

// unfinished finds what a crash left of this create. What it left of a different create of the same id is undone, and so
// is what was being undone: its steps may be taken back already. A newer generation then begins anew.
func (c *creation) unfinished(ctx context.Context) (JournalEntry, bool, error) {
	entry, err := c.journal.resume(c.def.UUID)
	switch {
	case errors.Is(err, ErrNotFound):
		return JournalEntry{}, false, nil
	case err != nil:
		return entry, false, err
	case entry.Kind != KindCreate:
		return entry, false, fmt.Errorf("a %s of it is %w; finish it with Delete first", entry.Kind, ErrHalfDone)
	case !reflect.DeepEqual(entry.Definition, c.def), entry.Failure != "" && c.spec.Owner.Generation > entry.Owner.Generation:
		return JournalEntry{}, false, c.takeBack(ctx, entry)
	case c.spec.Owner.Epoch < entry.Owner.Epoch:
		return entry, false, fmt.Errorf("epoch %d is older than %d, which began it: %w", c.spec.Owner.Epoch, entry.Owner.Epoch, ErrStaleEpoch)
	case entry.Failure != "":
		return entry, false, errors.Join(errors.New(entry.Failure), c.takeBack(ctx, entry))
	}
	return entry, true, nil
}

// adopt brings a machine that exists already to the state that the create asks for.
func (c *creation) adopt(ctx context.Context, d Domain, meta metadata) error {
	if err := c.setOwner(ctx, d.ID, meta, c.spec.Owner); err != nil {
		return err
	}
	if c.spec.Start && d.State.Off() {
		if err := c.start(ctx, c.def); err != nil {
			return err
		}
	}
	return c.verify(ctx)
}

func (c *creation) steps(ctx context.Context, journaled bool) error {
	release, err := c.lockSources(ctx)
	if err != nil {
		return err
	}
	defer release()
	if journaled {
		err = c.look(ctx, nil) // others may have come since the crash
	} else {
		err = c.begin(ctx)
	}
	if err != nil {
		return err
	}
	if err := c.importAll(ctx); err != nil {
		return err
	}
	for _, d := range ownDisks(c.def) {
		c.progress("making disk " + d.name)
		if err := c.do(ctx, stepVolume, d.name, func() error { return c.makeVolume(ctx, d) }); err != nil {
			return err
		}
	}
	c.progress("defining")
	if err := c.do(ctx, stepDefine, "", func() error { return c.define(ctx) }); err != nil {
		return err
	}
	if c.spec.Start {
		c.progress("starting")
		if err := c.do(ctx, stepStart, "", func() error { return c.start(ctx, c.def) }); err != nil {
			return err
		}
	}
	if journaled {
		// The domain may be from before the crash, when another owner or generation was in force.
		_, meta, err := c.ours(ctx, c.def.UUID)
		if err != nil {
			return err
		}
		if err := c.setOwner(ctx, c.def.UUID, meta, c.spec.Owner); err != nil {
			return err
		}
	}
	c.progress("checking")
	if err := c.step(ctx, opCreate, stepVerify, func() error { return c.verify(ctx) }); err != nil {
		return err
	}
	return c.step(ctx, opCreate, stepCommit, func() error { return c.journal.forget(c.def.UUID) })
}

// begin checks the definition against the host and opens the journal.
func (c *creation) begin(ctx context.Context) error {
	facts, err := c.recentFacts(ctx)
	if err != nil {
		return err
	}
	if err := c.look(ctx, hostFaults(c.def, facts)); err != nil {
		return err
	}
	if err := c.checkFree(ctx, facts); err != nil {
		return err
	}
	for _, warning := range c.warnings(c.def, facts) {
		c.log.Warn("the machine is made, and may not do well", "vm", c.def.UUID, "name", c.def.Name, "warning", warning)
	}
	c.entry = JournalEntry{ID: c.def.UUID, Kind: KindCreate, Owner: c.spec.Owner, Definition: c.def, Start: c.spec.Start}
	return c.step(ctx, opCreate, stepJournal, func() error { return c.journal.begin(c.entry) })
}

// look checks what the machine asks for against what the other domains of the host have. It adds to the faults.
func (c *creation) look(ctx context.Context, faults vm.Faults) error {
	facts, err := c.recentFacts(ctx)
	if err != nil {
		return err
	}
	others, err := c.neighbours(ctx)
	if err != nil {
		return err
	}
	taken, err := c.checkSources(ctx, others)
	if err != nil {
		return err
	}
	return slices.Concat(faults, taken, macFaults(c.def, others), cpuFaults(c.def, facts.CPUs, others)).Err()
}

// do is a step with its intent in the journal before it. Its end is recorded with the next one's intent, to wait for
// the disk once: a step that a crash cut off from that is done again, which is harmless until the next has begun.
func (c *creation) do(ctx context.Context, step, detail string, work func() error) error {
	name := step
	if detail != "" {
		name += " " + detail
	}
	if c.entry.finished(name) {
		return nil
	}
	if err := c.note(record{Begin: name, Done: c.ended}); err != nil {
		return err
	}
	c.ended = name
	return c.step(ctx, opCreate, step, work)
}

// note adds a record to the journal and to what we know of it.
func (c *creation) note(r record) error {
	if err := c.journal.add(c.def.UUID, r); err != nil {
		return err
	}
	c.entry.apply(r)
	return nil
}

func (c *creation) define(ctx context.Context) error {
	facts, err := c.recentFacts(ctx)
	if err != nil {
		return err
	}
	t := Template{Accelerator: facts.Accelerator, ConsoleLogDir: c.config.ConsoleLogDir, Owner: c.spec.Owner,
		Host: facts, CPUBaseline: c.baseline(), bases: c.bases}
	text, err := t.GenerateXML(c.def)
	if err != nil {
		return err
	}
	return c.driver.Define(ctx, text)
}

// abandon undoes a failed create, unless the context has ended or the hypervisor is away: then the next start decides.
func (c *creation) abandon(ctx context.Context, cause error) error {
	if c.entry.ID == "" {
		return cause
	}
	if ctx.Err() != nil || errors.Is(cause, ErrUnavailable) {
		return fmt.Errorf("%w (left in the journal, to be continued or undone)", cause)
	}
	undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	c.pins.release(c.bases)
	c.bases = nil
	noted := c.note(record{Failure: cause.Error()})
	if err := c.takeBack(undoing, c.entry); err != nil {
		return errors.Join(cause, noted, err)
	}
	return cause // a journal that took no note is gone with the rest
}

// takeBack undoes a create. One that cannot be undone yet is ErrHalfDone.
func (c *creation) takeBack(ctx context.Context, entry JournalEntry) error {
	if err := c.undo(ctx, entry); err != nil {
		return fmt.Errorf("and it is %w: what it left could not be undone yet: %w", ErrHalfDone, err)
	}
	return nil
}

func (c *creation) progress(step string) {
	c.log.Debug("create", "id", c.def.UUID, "name", c.def.Name, "step", step)
	if c.spec.Progress != nil {
		c.spec.Progress(step)
	}
}
