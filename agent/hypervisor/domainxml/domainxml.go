// Package domainxml writes the structures of libvirtxml as encoding/xml does, byte for byte, in a third of the time.
//
// What a type looks like is found out once, by reflection. Types that have an encoding of their own in libvirtxml are
// written here only in the forms that machines of ours have (shortcut); every other form goes through encoding/xml.
package domainxml

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"libvirt.org/go/libvirtxml"
)

// buffers are kept for the next machine: growing one takes as long as writing into it.
var buffers = sync.Pool{New: func() any { return new(writer) }}

// text writes one element, of a value that a pointer points to.
func text(name string, v any, indented bool) (string, error) {
	w := buffers.Get().(*writer)
	defer buffers.Put(w)
	*w = writer{buf: w.buf[:0], indented: indented}
	_, err := w.element(name, nil, reflect.ValueOf(v))
	return string(w.buf), err
}

// Domain writes a domain, indented by two blanks. It differs from libvirtxml's Marshal in one thing: the vendor of a
// USB device stands before its product, as libvirt's schema wants it.
func Domain(d *libvirtxml.Domain) (string, error) {
	doc, err := text("domain", d, true)
	if err != nil {
		return "", fmt.Errorf("write the XML of a domain: %w", err)
	}
	return doc, nil
}

// Element writes a structure on one line, as an element of that name. v is a pointer to a structure with tags of
// encoding/xml.
func Element(name string, v any) (string, error) {
	doc, err := text(name, v, false)
	if err != nil {
		return "", fmt.Errorf("write the XML element %s: %w", name, err)
	}
	return doc, nil
}

// writer appends elements to a buffer.
type writer struct {
	buf      []byte
	indented bool
	depth    int
}

// attr is an attribute that stands before those of a structure's fields.
type attr struct{ name, value string }

// element writes a value, and tells whether there was anything to write.
func (w *writer) element(name string, first []attr, v reflect.Value) (bool, error) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return false, nil
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		w.open(name, nil)
		w.buf = append(w.buf, '>')
		w.scalar(v)
		w.close(name)
		return true, nil
	}
	p := planOf(v.Type())
	if p.marshals {
		attrs, body, known := shortcut(v.Addr().Interface())
		if !known {
			return w.byLibrary(name, v)
		}
		if body == nil {
			return false, nil
		}
		first, v = attrs, reflect.ValueOf(body).Elem()
		p = planOf(v.Type())
	}
	if p.beyond(v) {
		return w.byLibrary(name, v)
	}
	return true, w.structure(p, name, first, v)
}

func (w *writer) structure(p *plan, name string, first []attr, v reflect.Value) error {
	if p.name != "" {
		name = p.name
	}
	w.open(name, first)
	for i := range p.attrs {
		w.attribute(&p.attrs[i], v.Field(p.attrs[i].index))
	}
	w.buf = append(w.buf, '>')
	w.depth++
	parents := false
	for i := range p.content {
		f := &p.content[i]
		inner := v.Field(f.index)
		if f.pointer && inner.IsNil() {
			continue
		}
		child, err := w.content(f, inner)
		if err != nil {
			return err
		}
		parents = parents || child
	}
	w.depth--
	if parents {
		w.newline()
	}
	w.close(name)
	return nil
}

// content writes what stands between an element's tags for one field, and tells whether that is an element.
func (w *writer) content(f *field, v reflect.Value) (child bool, err error) {
	switch {
	case f.omitEmpty && v.IsZero():
		return false, nil
	case f.kind == raw:
		w.buf = append(w.buf, v.String()...)
		return false, nil
	case f.kind == chardata:
		w.scalar(v)
		return false, nil
	case v.Kind() != reflect.Slice:
		return w.element(f.name, nil, v)
	}
	for i := range v.Len() {
		one, err := w.element(f.name, nil, v.Index(i))
		if err != nil {
			return false, err
		}
		child = child || one
	}
	return child, nil
}

func (w *writer) attribute(f *field, v reflect.Value) {
	if f.omitEmpty && v.IsZero() {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	w.buf = append(append(append(w.buf, ' '), f.name...), `="`...)
	w.scalar(v)
	w.buf = append(w.buf, '"')
}

// open begins a tag and leaves it open for attributes.
func (w *writer) open(name string, first []attr) {
	if w.depth > 0 {
		w.newline()
	}
	w.buf = append(append(w.buf, '<'), name...)
	for _, a := range first {
		w.buf = append(append(append(w.buf, ' '), a.name...), `="`...)
		w.escape(a.value)
		w.buf = append(w.buf, '"')
	}
}

func (w *writer) close(name string) {
	w.buf = append(append(append(w.buf, `</`...), name...), '>')
}

func (w *writer) newline() {
	if !w.indented {
		return
	}
	w.buf = append(w.buf, '\n')
	for range w.depth {
		w.buf = append(w.buf, "  "...)
	}
}

func (w *writer) scalar(v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.String:
		w.escape(v.String())
	case v.CanInt():
		w.buf = strconv.AppendInt(w.buf, v.Int(), 10)
	case v.CanUint():
		w.buf = strconv.AppendUint(w.buf, v.Uint(), 10)
	case v.Kind() == reflect.Bool:
		w.buf = strconv.AppendBool(w.buf, v.Bool())
	}
}

// byLibrary leaves an element to encoding/xml.
func (w *writer) byLibrary(name string, v reflect.Value) (bool, error) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	if w.indented {
		e.Indent(string(bytes.Repeat([]byte("  "), w.depth)), "  ")
	}
	if err := e.EncodeElement(v.Addr().Interface(), xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return false, err
	}
	if b.Len() == 0 {
		return false, nil
	}
	if w.indented && w.depth > 0 {
		w.buf = append(w.buf, '\n')
	}
	w.buf = append(w.buf, b.Bytes()...)
	return true, nil
}
