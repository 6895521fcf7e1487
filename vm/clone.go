package vm

import "reflect"

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
		for i := range v.NumField() {
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
	for i := range v.Len() {
		own(copied.Index(i))
	}
	v.Set(copied)
}

// ownMap copies a map of strings.
func ownMap(v reflect.Value) {
	if v.Len() == 0 {
		v.SetZero()
		return
	}
	copied := reflect.MakeMapWithSize(v.Type(), v.Len())
	for key, value := range v.Seq2() {
		copied.SetMapIndex(key, value)
	}
	v.Set(copied)
}
