package template

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/vm"
)

const sample = `name: web
parameters:
- {name: tier, enum: [front, back], default: front}
- {name: cpus, type: int, min: 1, max: 8, default: 2}
- {name: memory, type: size, min: 256MiB, max: 8GiB, default: 1GiB}
- {name: disk, type: size, unit: GiB, default: 10GiB}
- {name: agent, type: bool, default: true}
- {name: note, pattern: '[a-z ]*', default: ""}
- {name: name}
definition:
  name: ${name}-1
  labels: {tier: "${tier}", both: "${tier}/${cpus}", plain: "$${tier}"}
  cpus: ${cpus}
  memoryMB: ${memory}
  diskGB: ${disk}
  devices: {guestAgent: "${agent}"}
  annotations: {note: "${note}"}
`

func parsed(t require.TestingT, text string) Template {
	tmpl, err := Parse([]byte(text))
	require.NoError(t, err)
	return tmpl
}

func TestRenderPutsTypedValuesInPlace(t *testing.T) {
	tmpl := parsed(t, sample)
	def, err := tmpl.Render(map[string]string{"name": "shop", "cpus": "4", "memory": "2GiB", "agent": "false"})
	require.NoError(t, err)
	off := false
	require.Equal(t, vm.Definition{
		Name: "shop-1", CPUs: 4, MemoryMB: 2048, DiskGB: 10, Devices: vm.Devices{GuestAgent: &off},
		Labels: map[string]string{"tier": "front", "both": "front/4", "plain": "${tier}"}, Annotations: map[string]string{"note": ""},
	}, def)
	again, err := tmpl.Render(map[string]string{"name": "shop"})
	require.NoError(t, err)
	require.Equal(t, 2, again.CPUs, "a template is not changed by its use")
	require.NoError(t, tmpl.Check())
}

func TestValuesAreChecked(t *testing.T) {
	for _, c := range []struct{ name, value, limit, wayOut string }{
		{"tier", "middle", "one of front, back", "choose one"},
		{"cpus", "9", "at most 8", "give less"},
		{"cpus", "0", "at least 1", "give more"},
		{"cpus", "two", "a whole number", "digits alone"},
		{"memory", "2048", "a size in whole MiB", "2GiB"},
		{"memory", "100KiB", "a size in whole MiB", "2GiB"},
		{"memory", "16GiB", "at most 8GiB", "give less"},
		{"disk", "512MiB", "a size in whole GiB", "2GiB"},
		{"agent", "yes", "true or false", "one of the two"},
		{"note", "A", "text of the form [a-z ]*", "description"},
		{"color", "red", "a parameter of web: tier, cpus", "leave it out"},
	} {
		_, err := parsed(t, sample).Render(map[string]string{"name": "a", c.name: c.value})
		var faults vm.Faults
		require.ErrorAs(t, err, &faults, c.name)
		require.Len(t, faults, 1)
		require.Equal(t, c.name, faults[0].Path)
		require.Contains(t, faults[0].Limit, c.limit)
		require.Contains(t, faults[0].WayOut, c.wayOut)
	}
	_, err := parsed(t, sample).Render(map[string]string{"cpus": "x", "agent": "y"})
	var faults vm.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 3, "all at once, the missing name among them")
}

// A value is a leaf of the tree, whatever is in it: it never becomes a field.
func TestValuesCannotBecomeYAML(t *testing.T) {
	tmpl := parsed(t, "name: a\nparameters: [{name: x}]\ndefinition: {name: web, annotations: {note: \"${x}\", more: \"<${x}>\"}}\n")
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a\ncpus: 9", "{cpus: 9}", "${x}", "!!int 9", "&a", "*a", "- x", "null", "true"})).Draw(t, "value")
		def, err := tmpl.Render(map[string]string{"x": value})
		require.NoError(t, err)
		require.Equal(t, vm.Definition{Name: "web", Annotations: map[string]string{"note": value, "more": "<" + value + ">"}}, def)
	})
}

func TestTemplatesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\ncolour: red\ndefinition: {}":                                                      "line 2: colour is an unknown key",
		"name: A\ndefinition: {}":                                                                   `name is "A"`,
		"name: a":                                                                                   "definition is missing",
		"name: a\ndefinition: [1]":                                                                  "definition is missing",
		"name: a\ndefinition: {}\ndefinition: {}":                                                   "definition is an unknown key",
		"name: a\ndefinition: {name: \"${x}\"}":                                                     "declare it in parameters",
		"name: a\ndefinition: {name: \"${x\"}":                                                      "declare it in parameters",
		"name: a\ndefinition: {name: &x a, image: *x}":                                              "write the value out",
		"name: a\nparameters: [{name: x}, {name: x}]\ndefinition: {}":                               "each parameter once",
		"name: a\nparameters: [{name: x, type: float}]\ndefinition: {}":                             "one of string, int, bool, size",
		"name: a\nparameters: [{name: x, type: int, default: y}]\ndefinition: {}":                   `parameters[0].default is "y"; allowed is a whole number`,
		"name: a\nparameters: [{name: x, min: 1}]\ndefinition: {}":                                  "parameters[0].min",
		"name: a\nparameters: [{name: x, type: int, enum: [1]}]\ndefinition: {}":                    "parameters[0].enum",
		"name: a\nparameters: [{name: x, pattern: '('}]\ndefinition: {}":                            "parameters[0].pattern",
		"name: a\nparameters: [{name: x, type: int, unit: GiB}]\ndefinition: {}":                    "parameters[0].unit",
		"name: a\nparameters: [{name: x, enum: [a], default: b}]\ndefinition: {}":                   "parameters[0].default",
		"name: a\nparameters: [" + strings.Repeat("{name: x}, ", 33) + "]\ndefinition: {}":          "at most 32",
		"name: a\ndefinition: " + strings.Repeat("[", 20) + strings.Repeat("]", 20):                 "definition is missing",
		"name: a\ndefinition: {volumes: " + strings.Repeat("[", 20) + strings.Repeat("]", 20) + "}": "nested too deep",
		"- a": "a template is a list of",
	} {
		_, err := Parse([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

func TestWrongFieldsOfADefinitionAreNamed(t *testing.T) {
	_, err := parsed(t, "name: a\ndefinition:\n  cpu: 2\n").Render(nil)
	require.ErrorContains(t, err, `line 3: cpu is "2"`)
	require.ErrorContains(t, parsed(t, "name: a\ndefinition: {cpus: 0, memoryMB: 64}").Check(), "cpus is 0")
}

func TestPresetsAreSound(t *testing.T) {
	all, err := Presets()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 4)
	for name, preset := range all {
		require.NoError(t, preset.Check(), name)
		require.NotEmpty(t, preset.Description, name)
	}
	def, err := all["windows-11"].Render(map[string]string{"iso": "win11", "memory": "16GiB"})
	require.NoError(t, err)
	require.Equal(t, 16384, def.MemoryMB)
	require.Equal(t, "2.0", vm.Normalise(def, vm.Defaults{}).TPM)
}

func FuzzTemplate(f *testing.F) {
	f.Add(sample, "x")
	f.Add("name: a\nparameters: [{name: x}]\ndefinition: {name: \"${x}$${x}\"}", "${x}")
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := Parse([]byte(text))
		if err != nil {
			return
		}
		values := map[string]string{}
		for _, p := range tmpl.Parameters {
			values[p.Name] = value
		}
		if def, err := tmpl.Render(values); err == nil {
			_ = vm.Validate(def)
		}
		_ = tmpl.Check()
	})
}
