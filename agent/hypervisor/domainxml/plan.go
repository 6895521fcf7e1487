package domainxml

import (
	"encoding"
	"encoding/xml"
	"reflect"
	"strings"
	"sync"
)

// kind is how a field is written.
type kind int

const (
	child    kind = iota // as an element, or one for each entry of a slice
	chardata             // between the tags of its structure
	raw                  // there too, and as it is
)

// field is one field of a structure.
type field struct {
	index     int
	name      string
	kind      kind
	omitEmpty bool
	// pointer says that nil is nothing to write.
	pointer bool
}

// plan is how a structure is written.
type plan struct {
	// name goes before the name of the field that the structure is in; empty where it has none of its own.
	name string
	// marshals tells a type with an encoding of its own.
	marshals       bool
	attrs, content []field
	// odd are fields that only encoding/xml writes.
	odd []field
}

var plans sync.Map // of *plan by reflect.Type

var (
	marshaler     = reflect.TypeFor[xml.Marshaler]()
	attrMarshaler = reflect.TypeFor[xml.MarshalerAttr]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{marshals: reflect.PointerTo(t).Implements(marshaler)}
	for i := range t.NumField() {
		p.add(i, t.Field(i))
	}
	plans.Store(t, p)
	return p
}

// add takes up a field by its tag: «name,option,option».
func (p *plan) add(index int, sf reflect.StructField) {
	tag, tagged := sf.Tag.Lookup("xml")
	name, options, _ := strings.Cut(tag, ",")
	f := field{index: index, name: name, omitEmpty: strings.HasSuffix(options, "omitempty"), pointer: sf.Type.Kind() == reflect.Pointer}
	scalar := isScalar(sf.Type)
	switch options = strings.TrimSuffix(strings.TrimSuffix(options, "omitempty"), ","); {
	case tag == "-" || !sf.IsExported() && !sf.Anonymous:
	case sf.Name == "XMLName" && !strings.Contains(name, " "):
		p.name = name
	case !tagged || sf.Anonymous || strings.ContainsAny(name, " >"):
		p.odd = append(p.odd, f)
	case options == "attr" && name != "" && scalar:
		p.attrs = append(p.attrs, f)
	case options == "chardata" && scalar:
		f.kind = chardata
		p.content = append(p.content, f)
	case options == "innerxml" && sf.Type.Kind() == reflect.String:
		f.kind = raw
		p.content = append(p.content, f)
	case options == "" && name != "" && (scalar || isTree(sf.Type)):
		p.content = append(p.content, f)
	default:
		p.odd = append(p.odd, f)
	}
}

// isScalar tells what is written as a text without asking the type.
func isScalar(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, own := range []reflect.Type{marshaler, attrMarshaler, textMarshaler} {
		if reflect.PointerTo(t).Implements(own) {
			return false
		}
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	default:
		return false
	}
}

// isTree tells structures and slices of structures or texts.
func isTree(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
		if t.Kind() != reflect.Uint8 && isScalar(t) {
			return true
		}
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textMarshaler)
}

// beyond tells whether a value uses a field that we do not write.
func (p *plan) beyond(v reflect.Value) bool {
	for _, f := range p.odd {
		switch one := v.Field(f.index); one.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Interface:
			if !one.IsNil() {
				return true
			}
		default:
			if !f.omitEmpty || !one.IsZero() {
				return true
			}
		}
	}
	return false
}
