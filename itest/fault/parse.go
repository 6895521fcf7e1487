package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Environment is the variable that main reads at its start and hands to Parse.
const Environment = "NOVACRON_FAULTS"

// Parse reads a list of armings such as "hypervisor.create.define.after=exit,hypervisor.create.volume.before=error@2",
// where @2 means at the second passage alone. A point may name a subject: "hypervisor.create.define.after#web-1=exit" is
// for work on web-1 alone. Empty text gives the nil registry.
func Parse(text string) (*Registry, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	r := New()
	for item := range strings.SplitSeq(text, ",") {
		if err := r.parseItem(strings.TrimSpace(item)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Registry) parseItem(item string) error {
	point, rest, ok := strings.Cut(item, "=")
	if !ok || point == "" {
		return fmt.Errorf("%s: %q is not POINT[#SUBJECT]=ACTION[@HIT]; write for example hypervisor.create.define.after=error", Environment, item)
	}
	name, at, counted := strings.Cut(rest, "@")
	action := Action(name)
	if !slices.Contains([]Action{Error, Exit, Hang, Freeze}, action) {
		return fmt.Errorf("%s: point %s has the unknown action %q; use error, exit, hang or freeze", Environment, point, name)
	}
	hit := 0
	if counted {
		n, err := strconv.Atoi(at)
		if err != nil || n < 1 {
			return fmt.Errorf("%s: point %s has the hit %q; use a number from 1", Environment, point, at)
		}
		hit = n
	}
	r.ArmAt(point, action, hit)
	return nil
}

// Check refuses armed points that are not among known, which would otherwise never fire unnoticed.
func (r *Registry) Check(known []string) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for armed := range r.armed {
		point, _, _ := strings.Cut(armed, "#")
		if !slices.Contains(known, point) {
			return fmt.Errorf("%s: there is no point %q; the points are %s", Environment, point, strings.Join(known, ", "))
		}
	}
	return nil
}
