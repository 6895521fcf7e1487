package vm

import (
	"math"
	"reflect"

	"google.golang.org/protobuf/reflect/protoreflect"

	novacronv1 "github.com/novacron/novacron/proto/novacron/v1"
)

// ToProto turns a definition into its form on the wire. Fields find each other by the keys that both have as text.
// Numbers that do not fit there, which Validate refuses, are brought to the nearest that does.
func ToProto(def Definition) *novacronv1.VMSpec {
	spec := &novacronv1.VMSpec{}
	fillMessage(reflect.ValueOf(def), spec.ProtoReflect())
	return spec
}

// FromProto is the reverse of ToProto. It shares no memory with spec; nil gives the empty definition.
func FromProto(spec *novacronv1.VMSpec) Definition {
	var def Definition
	fillStruct(spec.ProtoReflect(), reflect.ValueOf(&def).Elem())
	return Clone(def)
}

func fillMessage(from reflect.Value, to protoreflect.Message) {
	fields := to.Descriptor().Fields()
	for key, index := range keys(from.Type()) {
		if v := from.FieldByIndex(index); !v.IsZero() {
			fillField(v, to, fields.ByJSONName(key))
		}
	}
}

func fillField(v reflect.Value, to protoreflect.Message, field protoreflect.FieldDescriptor) {
	switch v.Kind() {
	case reflect.Pointer:
		fillField(v.Elem(), to, field)
	case reflect.Struct:
		fillMessage(v, to.Mutable(field).Message())
	case reflect.Slice:
		fillList(v, to.Mutable(field).List())
	case reflect.Map:
		table := to.Mutable(field).Map()
		for key, value := range v.Seq2() {
			table.Set(protoreflect.ValueOf(key.String()).MapKey(), protoreflect.ValueOf(value.String()))
		}
	default:
		to.Set(field, scalar(v, field))
	}
}

// fillList fills a list of messages or of texts.
func fillList(v reflect.Value, to protoreflect.List) {
	for i := range v.Len() {
		if item := v.Index(i); item.Kind() == reflect.Struct {
			fillMessage(item, to.AppendMutable().Message())
		} else {
			to.Append(protoreflect.ValueOf(item.String()))
		}
	}
}

// scalar brings a number into the range of its field.
func scalar(v reflect.Value, field protoreflect.FieldDescriptor) protoreflect.Value {
	switch {
	case v.Kind() != reflect.Int:
		return protoreflect.ValueOf(v.Interface())
	case field.Kind() == protoreflect.Uint64Kind:
		return protoreflect.ValueOf(uint64(max(v.Int(), 0)))
	default:
		return protoreflect.ValueOf(uint32(min(max(v.Int(), 0), math.MaxUint32)))
	}
}

func fillStruct(from protoreflect.Message, into reflect.Value) {
	fields := from.Descriptor().Fields()
	for key, index := range keys(into.Type()) {
		if field := fields.ByJSONName(key); from.Has(field) {
			fillValue(from.Get(field), into.FieldByIndex(index))
		}
	}
}

func fillValue(from protoreflect.Value, into reflect.Value) {
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		fillValue(from, into.Elem())
	case reflect.Struct:
		fillStruct(from.Message(), into)
	case reflect.Slice:
		list := from.List()
		into.Set(reflect.MakeSlice(into.Type(), list.Len(), list.Len()))
		for i := range list.Len() {
			fillValue(list.Get(i), into.Index(i))
		}
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		from.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			into.SetMapIndex(reflect.ValueOf(key.String()), reflect.ValueOf(value.String()))
			return true
		})
	default:
		fillScalar(from, into)
	}
}

func fillScalar(from protoreflect.Value, into reflect.Value) {
	switch into.Kind() {
	case reflect.Int:
		into.SetInt(int64(min(from.Uint(), math.MaxInt64)))
	case reflect.Bool:
		into.SetBool(from.Bool())
	default:
		into.SetString(from.String())
	}
}
