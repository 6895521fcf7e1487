package vm

import (
	"slices"
	"strconv"
	"strings"
)

// CompareMachines tells which of two versioned machine types of a family is newer: below 0 the second one, above 0 the
// first. A type without a version is older than all.
func CompareMachines(a, b string) int { return slices.Compare(machineVersion(a), machineVersion(b)) }

// machineVersion reads the numbers after the last dash, such as 7.2 in pc-q35-7.2.
func machineVersion(machine string) []int {
	at := strings.LastIndexByte(machine, '-')
	if at < 0 {
		return nil
	}
	var parts []int
	for part := range strings.SplitSeq(strings.TrimLeft(machine[at+1:], "abcdefghijklmnopqrstuvwxyz"), ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		parts = append(parts, n)
	}
	return parts
}

// CheckMachineChange tells whether a machine may become another type: of the same family, never older, and only while
// it is stopped. The error is Faults.
func CheckMachineChange(from, to string, stopped bool) error {
	c := &checker{}
	switch {
	case from == to:
		return nil
	case MachineFamily(from) != MachineFamily(to):
		c.add("machine", to, "of the family "+MachineFamily(from), "keep "+from+", or create the machine anew")
	case CompareMachines(to, from) < 0:
		c.add("machine", to, from+" or newer", "keep "+from)
	case !stopped:
		c.add("machine", to, from+" while the machine runs", "stop it first")
	}
	return c.faults.Err()
}
