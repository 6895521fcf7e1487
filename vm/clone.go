package vm

import (
	"maps"
	"reflect"
	"sync"
)

// Clone copies a definition with everything that it refers to. Empty maps and lists become nil, so that definitions
// compare equal wherever they came from.
func Clone(def Definition) Definition {
	own(reflect.ValueOf(&def).Elem())
	return def
}

// own replaces everything that a value shares with others by copies.
func own(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, i := range sharing(v.Type()) {
			own(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			copied := reflect.New(v.Type().Elem())
			copied.Elem().Set(v.Elem())
			own(copied.Elem())
			v.Set(copied)
		}
	case reflect.Slice:
		ownSlice(v)
	case reflect.Map:
		ownMap(v)
	}
}

func ownSlice(v reflect.Value) {
	if v.Len() == 0 {
		v.SetZero()
		return
	}
	copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	reflect.Copy(copied, v)
	if shares(v.Type().Elem()) {
		for i := range v.Len() {
			own(copied.Index(i))
		}
	}
	v.Set(copied)
}

var sharingFields sync.Map // of []int by reflect.Type

// sharing lists the fields of a structure that refer to anything. Most do not, and looking at each of them takes the
// better part of a copy.
func sharing(t reflect.Type) []int {
	if known, ok := sharingFields.Load(t); ok {
		return known.([]int)
	}
	var fields []int
	for i := range t.NumField() {
		if shares(t.Field(i).Type) {
			fields = append(fields, i)
		}
	}
	sharingFields.Store(t, fields)
	return fields
}

func shares(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		return len(sharing(t)) > 0
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return true
	default:
		return false
	}
}

// ownMap copies a map of strings.
func ownMap(v reflect.Value) {
	if v.Len() == 0 {
		v.SetZero()
		return
	}
	if texts, ok := v.Interface().(map[string]string); ok {
		v.Set(reflect.ValueOf(maps.Clone(texts)))
		return
	}
	copied := reflect.MakeMapWithSize(v.Type(), v.Len())
	for key, value := range v.Seq2() {
		copied.SetMapIndex(key, value)
	}
	v.Set(copied)
}
