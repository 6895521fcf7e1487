package vm

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Effect tells when a change of a definition comes true.
type Effect string

// The effects.
const (
	// Noted is what only the cluster and its agents go by: from now on.
	Noted Effect = "noted"
	// Live is done to a running guest at once, and holds for later starts.
	Live Effect = "live"
	// Stopped takes a stopped machine, and holds from its next start on.
	Stopped Effect = "stopped"
)

// Reshaping is one field that changes, and when.
type Reshaping struct {
	Change
	Effect Effect
}

// effects are the fields that can change, by path without the keys of maps and the places of lists. Every other is fixed
// from creation on.
func effects() map[string]Effect {
	return map[string]Effect{
		"labels": Noted, "annotations": Noted, "autostart": Noted, "restartPolicy": Noted, "evacuationPolicy": Noted,
		"stopTimeoutSeconds": Noted, "placement": Noted,
		"cpus": Live, "memory.initialMB": Live, "diskGB": Live, "volumes.sizeGB": Live, "rootDisk.qos": Live, "volumes.qos": Live,
		"networkInterfaces.qos": Live, "networkInterfaces.securityGroup": Live,
		"machine": Stopped, "clock": Stopped, "hyperV": Stopped, "memoryMB": Stopped, "memory.maxMB": Stopped, "memory.slots": Stopped,
		"cpu.mode": Stopped, "cpu.model": Stopped, "cpu.max": Stopped, "cpu.sockets": Stopped, "cpu.dies": Stopped,
		"cpu.cores": Stopped, "cpu.threads": Stopped,
	}
}

// places are the keys and indexes in a path; they may hold dots.
var places = regexp.MustCompile(`\[[^\]]*\]`)

// effectOf finds the effect of a path, or of what it is a part of.
func effectOf(path string) (Effect, bool) {
	all := effects()
	for path = places.ReplaceAllString(path, ""); path != ""; {
		if effect, ok := all[path]; ok {
			return effect, true
		}
		cut := strings.LastIndexByte(path, '.')
		path = path[:max(cut, 0)]
	}
	return "", false
}

// Reshape tells what changes from one normalised definition of a machine to another, in the order of the fields, and when each
// comes true. What cannot change is Faults, all at once; so is a change for which a machine that runs has to be stopped first.
func Reshape(from, to Definition, runs bool) ([]Reshaping, error) {
	r := &reshape{from: from, to: to}
	r.sameLength("volumes", len(from.Volumes), len(to.Volumes))
	r.sameLength("networkInterfaces", len(from.NetworkInterfaces), len(to.NetworkInterfaces))
	beyond := r.faults
	changes := Diff(from, to)
	all := make([]Reshaping, 0, len(changes))
	for _, change := range changes {
		if slices.ContainsFunc(beyond, func(f Fault) bool { return strings.HasPrefix(change.Path, f.Path+"[") }) {
			continue
		}
		effect := r.effect(change)
		if effect == Stopped && runs && !r.refused(change.Path) {
			r.add(change, "as it is, "+present(change.From)+", while the machine runs", "stop it first")
		}
		all = append(all, Reshaping{change, effect})
	}
	return all, r.faults.Err()
}

type reshape struct {
	checker
	from, to Definition
}

func (r *reshape) add(change Change, limit, wayOut string) {
	r.checker.add(change.Path, change.To, limit, wayOut)
}

// sameLength keeps disks and cards from coming and going.
func (r *reshape) sameLength(path string, had, shall int) {
	if had != shall {
		r.checker.add(path, shall, fmt.Sprintf("the %d that it was created with", had), "keep them, or delete the machine and create it anew")
	}
}

func (r *reshape) refused(path string) bool {
	return len(r.faults) > 0 && r.faults[len(r.faults)-1].Path == path
}

func present(value string) string {
	if value == "" {
		return "absent"
	}
	return strconv.Quote(value)
}

// effect looks the change up, and refuses it where its values do not allow it.
func (r *reshape) effect(change Change) Effect {
	effect, known := effectOf(change.Path)
	if !known {
		wayOut := "keep it, or delete the machine and create it anew"
		switch {
		case change.Path == "name":
			wayOut = "use «novacron vm rename»"
		case change.Path == "iso" || strings.HasPrefix(change.Path, "volumes["):
			wayOut = "keep it; media of CD-ROM drives are changed with «novacron vm iso»"
		}
		r.add(change, "what it was created with, "+present(change.From), wayOut)
		return effect
	}
	switch path := places.ReplaceAllString(change.Path, ""); path {
	case "machine":
		if err := CheckMachineChange(r.from.Machine, r.to.Machine, true); err != nil {
			r.faults = append(r.faults, err.(Faults)...) //nolint:errorlint,forcetypeassert // it says what it returns
		}
	case "diskGB", "volumes.sizeGB":
		if before, after := number(change.From), number(change.To); before == 0 || after < before {
			r.add(change, "at least "+present(change.From)+" GiB: disks neither shrink nor come and go", "ask for more, or keep it")
		}
	case "cpus":
		return r.cpus(change)
	case "memory.initialMB":
		if !On(r.from.Memory.Balloon) {
			return Stopped
		}
	}
	return effect
}

// cpus are added to a running machine as far as cpu.max goes, and taken from a stopped one: no guest gives up those that it
// started with.
func (r *reshape) cpus(change Change) Effect {
	if r.from.CPU.Dedicated {
		r.add(change, present(change.From)+": the machine has CPUs of the host for its own", "keep it, or delete the machine and create it anew")
	}
	if r.to.CPUs > r.from.CPUs && r.to.CPUs <= r.from.CPU.Max {
		return Live
	}
	return Stopped
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // a size that is absent counts as none
	return n
}

// Reshaped is a definition with all fields that can change taken from another one of the same machine.
func Reshaped(have, want Definition) Definition {
	next, want := Clone(have), Clone(want)
	next.Labels, next.Annotations, next.Placement = want.Labels, want.Annotations, want.Placement
	next.Autostart, next.RestartPolicy, next.EvacuationPolicy = want.Autostart, want.RestartPolicy, want.EvacuationPolicy
	next.StopTimeoutSeconds, next.Machine, next.Clock, next.HyperV = want.StopTimeoutSeconds, want.Machine, want.Clock, want.HyperV
	next.CPUs, next.MemoryMB, next.DiskGB = want.CPUs, want.MemoryMB, want.DiskGB
	c := want.CPU
	next.CPU.Mode, next.CPU.Model, next.CPU.Max = c.Mode, c.Model, c.Max
	next.CPU.Sockets, next.CPU.Dies, next.CPU.Cores, next.CPU.Threads = c.Sockets, c.Dies, c.Cores, c.Threads
	next.Memory.InitialMB, next.Memory.MaxMB, next.Memory.Slots = want.Memory.InitialMB, want.Memory.MaxMB, want.Memory.Slots
	next.RootDisk.QoS = want.RootDisk.QoS
	for i := range min(len(next.Volumes), len(want.Volumes)) {
		next.Volumes[i].SizeGB, next.Volumes[i].QoS = want.Volumes[i].SizeGB, want.Volumes[i].QoS
	}
	for i := range min(len(next.NetworkInterfaces), len(want.NetworkInterfaces)) {
		next.NetworkInterfaces[i].QoS, next.NetworkInterfaces[i].SecurityGroup = want.NetworkInterfaces[i].QoS, want.NetworkInterfaces[i].SecurityGroup
	}
	return next
}

// Inherit fills in what a definition leaves to the server with what the server chose for the machine that it is of.
func Inherit(given, stored Definition) Definition {
	given = Clone(given)
	fill(&given.UUID, stored.UUID)
	fill(&given.Machine, stored.Machine)
	for i := range min(len(given.NetworkInterfaces), len(stored.NetworkInterfaces)) {
		card, has := &given.NetworkInterfaces[i], stored.NetworkInterfaces[i]
		fill(&card.MAC, has.MAC)
		if card.Network == has.Network || card.Network == "" && has.Network == DefaultNetwork {
			fill(&card.Address, has.Address)
		}
	}
	if given.CloudInit != nil && stored.CloudInit != nil {
		fill(&given.CloudInit.Hostname, stored.CloudInit.Hostname)
	}
	return given
}

// String is such as «cpus: 1 -> 2 (live)».
func (r Reshaping) String() string {
	return fmt.Sprintf("%s: %s -> %s (%s)", r.Path, orNone(r.From), orNone(r.To), r.Effect)
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}
