package vm

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Change is one field that differs between two definitions.
type Change struct {
	// Path is the field, such as volumes[1].sizeGB.
	Path string `json:"path"`
	// From and To are the values as text; empty means absent.
	From string `json:"from"`
	To   string `json:"to"`
}

// Diff lists what would have to change to make one definition into another, in the order of the fields. Lists are
// compared place by place. Both are taken as normalised: a structure that is there and empty counts as absent.
func Diff(from, to Definition) []Change {
	d := &difference{}
	d.values("", reflect.ValueOf(Clone(from)), reflect.ValueOf(Clone(to)))
	return d.changes
}

type difference struct{ changes []Change }

func (d *difference) values(path string, from, to reflect.Value) {
	switch from.Kind() {
	case reflect.Struct:
		d.structs(path, from, to)
	case reflect.Pointer:
		d.pointers(path, from, to)
	case reflect.Slice:
		for i := range max(from.Len(), to.Len()) {
			d.values(fmt.Sprintf("%s[%d]", path, i), element(from, i), element(to, i))
		}
	case reflect.Map:
		d.tables(path, from, to)
	default:
		d.leaves(path, from, to)
	}
}

// structs goes through the fields in the order in which they are declared, those of embedded structures among them.
func (d *difference) structs(path string, from, to reflect.Value) {
	for i := range from.NumField() {
		field := from.Type().Field(i)
		if field.Anonymous {
			d.structs(path, from.Field(i), to.Field(i))
			continue
		}
		d.values(join(path, keyOf(field)), from.Field(i), to.Field(i))
	}
}

// pointers compares what is pointed at; what is absent counts as empty, but a choice left open is not a choice of false.
func (d *difference) pointers(path string, from, to reflect.Value) {
	elem := from.Type().Elem()
	if elem.Kind() == reflect.Struct {
		d.values(path, pointed(from), pointed(to))
		return
	}
	d.add(path, optional(from), optional(to))
}

func pointed(v reflect.Value) reflect.Value {
	if v.IsNil() {
		return reflect.Zero(v.Type().Elem())
	}
	return v.Elem()
}

func optional(v reflect.Value) string {
	if v.IsNil() {
		return ""
	}
	return fmt.Sprint(v.Elem().Interface())
}

// element is the i-th of a list, empty beyond its end.
func element(v reflect.Value, i int) reflect.Value {
	if i < v.Len() {
		return v.Index(i)
	}
	return reflect.Zero(v.Type().Elem())
}

func (d *difference) tables(path string, from, to reflect.Value) {
	before, _ := from.Interface().(map[string]string)
	after, _ := to.Interface().(map[string]string)
	all := maps.Clone(before)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, after)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		d.add(path+"["+key+"]", before[key], after[key])
	}
}

func (d *difference) leaves(path string, from, to reflect.Value) {
	d.add(path, leaf(from), leaf(to))
}

// leaf writes a value; an empty one as nothing.
func leaf(v reflect.Value) string {
	if v.IsZero() {
		return ""
	}
	return fmt.Sprint(v.Interface())
}

// add notes what differs; of a secret that it does, and no more.
func (d *difference) add(path, from, to string) {
	if from == to {
		return
	}
	if isSecret(path) {
		from, to = hide(from), hide(to)
	}
	d.changes = append(d.changes, Change{path, from, to})
}

func hide(text string) string {
	if text == "" {
		return ""
	}
	return HiddenDiffers
}
