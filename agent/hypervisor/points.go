package hypervisor

import (
	"context"
	"fmt"
	"slices"
)

// The operations with fail points, and their steps in order. Step s of operation o has the points
// hypervisor.o.s.before and hypervisor.o.s.after.
const (
	opCreate = "create"
	opDelete = "delete"
	opUndo   = "undo"
	opImport = "import"
)

const (
	stepJournal  = "journal"
	stepImage    = "image"
	stepVolume   = "volume"
	stepDefine   = "define"
	stepStart    = "start"
	stepVerify   = "verify"
	stepStop     = "stop"
	stepUndefine = "undefine"
	stepBase     = "base"
	stepUpload   = "upload"
	stepCommit   = "commit"
)

func operations() map[string][]string {
	return map[string][]string{
		opCreate: {stepJournal, stepImage, stepVolume, stepDefine, stepStart, stepVerify, stepCommit},
		opImport: {stepJournal, stepVolume, stepUpload, stepCommit},
		opUndo:   {stepStop, stepUndefine, stepVolume, stepBase, stepCommit},
		opDelete: {stepJournal, stepStop, stepUndefine, stepVolume, stepBase, stepCommit},
	}
}

// FaultPoints lists every fail point of this package, for tests that try them all.
func FaultPoints() []string {
	var points []string
	for op, steps := range operations() {
		for _, step := range steps {
			points = append(points, point(op, step, "before"), point(op, step, "after"))
		}
	}
	slices.Sort(points)
	return points
}

func point(op, step, where string) string { return "hypervisor." + op + "." + step + "." + where }

// step does one piece of work between its two fail points.
func (m *Manager) step(ctx context.Context, op, step string, work func() error) error {
	if err := m.config.Faults.Point(ctx, point(op, step, "before")); err != nil {
		return err
	}
	if err := work(); err != nil {
		return fmt.Errorf("%s %s: %w", op, step, err)
	}
	return m.config.Faults.Point(ctx, point(op, step, "after"))
}
