package vm

import (
	"fmt"
	"reflect"

	"pgregory.net/rapid"
)

// anyDefinition draws a definition with every field filled by reflection, so that a new field takes part by itself.
func anyDefinition() *rapid.Generator[Definition] {
	return rapid.Custom(func(t *rapid.T) Definition {
		var def Definition
		draw(t, "definition", reflect.ValueOf(&def).Elem())
		return def
	})
}

// draw fills a value: nothing is empty, so that a field that gets lost is seen.
func draw(t *rapid.T, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Elem().Kind() == reflect.Bool {
			v.Elem().SetBool(rapid.Bool().Draw(t, name))
			return
		}
		draw(t, name, v.Elem())
	case reflect.Slice:
		n := rapid.IntRange(1, 3).Draw(t, name+" length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, name, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(rapid.MapOfN(word(), word(), 1, 3).Draw(t, name)))
	case reflect.Bool:
		// False is what a lost field looks like, unless it is pointed at.
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(rapid.IntRange(1, 1<<20).Draw(t, name)))
	case reflect.String:
		v.SetString(word().Draw(t, name))
	default:
		panic(fmt.Sprintf("%s: this test cannot draw a %s", name, v.Kind()))
	}
}

// word draws text that is awkward in YAML, JSON and XML.
func word() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z0-9]{1,12}`),
		rapid.SampledFrom([]string{"yes", "null", "~", "1e3", "0x10", "22.10", "- a", "a: b", "#", "'", `"`, "<&>]]>", "ä", " x ", "*a", "&a", "!!int 1", "|", ">", "%", "@", "`", "{}", "[]", "true", "off", "\t", "a\nb"}),
	)
}

// anyValid draws a definition that passes, with most fields left open or filled.
func anyValid() *rapid.Generator[Definition] {
	return rapid.Custom(func(t *rapid.T) Definition {
		maybe := func(name string, values ...string) string {
			return rapid.SampledFrom(append(values, "")).Draw(t, name)
		}
		def := Definition{
			Name: rapid.StringMatching(`[a-z][a-z0-9-]{0,20}[a-z]`).Draw(t, "name"),
			CPUs: rapid.IntRange(1, 64).Draw(t, "cpus"), MemoryMB: rapid.IntRange(64, 1<<16).Draw(t, "memory"),
			DiskGB: rapid.IntRange(1, 100).Draw(t, "disk"), OSType: maybe("os", OSTypes()...),
			Project: maybe("project", "default", "lab"), Machine: maybe("machine", "q35", "pc", "pc-q35-7.2"),
			Firmware: maybe("firmware", "bios", "uefi"), Image: maybe("image", "debian-12"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "volumes") {
			def.Volumes = append(def.Volumes, Volume{SizeGB: rapid.IntRange(1, 9).Draw(t, "size"), Bus: maybe("bus", "virtio", "scsi"), Format: maybe("format", "qcow2", "raw")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "nics") {
			def.NetworkInterfaces = append(def.NetworkInterfaces, NetworkInterface{Bridge: maybe("bridge", "br0"), Model: maybe("model", "virtio", "e1000")})
		}
		return def
	})
}
