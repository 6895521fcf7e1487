package vm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const sample = `name: web-1
cpus: 2
memoryMB: 2048
osVersion: 22.10
labels: {tier: front, on: yes}
volumes:
- sizeGB: 10
  bus: scsi
networkInterfaces:
- network: default
boot:
  kernel: vmlinuz
placement:
  hostLabels: {rack: 7}
`

func TestParseYAML(t *testing.T) {
	def, err := ParseYAML([]byte(sample))
	require.NoError(t, err)
	require.Equal(t, Definition{
		Name: "web-1", CPUs: 2, MemoryMB: 2048, OSVersion: "22.10", Labels: map[string]string{"tier": "front", "on": "yes"},
		Volumes: []Volume{{SizeGB: 10, Bus: "scsi"}}, NetworkInterfaces: []NetworkInterface{{Network: "default"}},
		Boot: &DirectBoot{Kernel: "vmlinuz"}, Placement: Placement{HostLabels: map[string]string{"rack": "7"}},
	}, def)
}

func TestParseJSON(t *testing.T) {
	def, err := ParseJSON([]byte("{\n\t\"name\": \"a\", \"cpus\": 2, \"image\": null,\n\t\"volumes\": [{\"sizeGB\": 1}], \"labels\": {\"a\": \"b\"}}\n"))
	require.NoError(t, err)
	require.Equal(t, Definition{Name: "a", CPUs: 2, Volumes: []Volume{{SizeGB: 1}}, Labels: map[string]string{"a": "b"}}, def)
}

func TestParseNamesWhatIsWrongAndWhere(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\ncpux: 2":                      `line 2: cpux is an unknown key; allowed is one of annotations, arch, `,
		"name: a\ncpu: 2":                       `line 2: cpu is "2"; allowed is a list of ` + "`key: value`" + `; did you mean "cpus"?`,
		"memory: 2":                             `did you mean "memoryMB"?`,
		"autostart: yes":                        `autostart is "yes"; allowed is true or false`,
		"cpu: {numa: [{cpuz: 1}]}":              `cpu.numa[0].cpuz is an unknown key`,
		"name: a\nmemoryMb: 2":                  `did you mean "memoryMB"?`,
		"volumes:\n- size: 4":                   `line 2: volumes[0].size is an unknown key`,
		"volumes:\n- sizeGb: 4":                 `did you mean "sizeGB"?`,
		"name: a\nname: b":                      `line 2: name is given twice`,
		"labels: {a: b, a: c}":                  `labels[a] is given twice`,
		"cpus: two":                             `line 1: cpus is "two"; allowed is a whole number`,
		"cpus: 2.5":                             `cpus is "2.5"`,
		"cpus: '2'":                             `cpus is "2"`,
		"cpus: 99999999999999999999":            `cpus is "99999999999999999999"`,
		"memoryMB: 2GiB":                        `memoryMB is "2GiB"`,
		"name: [a]":                             `name is a list; allowed is text`,
		"volumes: 3":                            `volumes is "3"; allowed is a list`,
		"boot: x":                               `boot is "x"`,
		"labels: [a]":                           `labels is a list`,
		"labels: {[a]: b}":                      `labels is a list as a key`,
		"labels: {a: {b: c}}":                   `labels[a] is a list of`,
		"name: &x a\nproject: *x":               `line 1: name is an anchor or alias`,
		"<<: {name: a}":                         `<< is an unknown key`,
		"- a":                                   `a definition is a list of`,
		"":                                      `it is empty`,
		"name: a\n---\nname: b":                 `second document`,
		"name: [":                               `cannot be read`,
		"name: a\n\tcpus: 2":                    `cannot be read`,
		"name: !!binary aGk=":                   `allowed is text`,
		"{" + strings.Repeat(`"x`, 3) + `": 1}`: `cannot be read`,
	} {
		_, err := ParseYAML([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	for text, want := range map[string]string{
		`{"name": "a",` + "\n" + `"cpu": 2}`: `line 2: cpu is "2"`,
		`{"name": "a", "name": "b"}`:         `name is given twice`,
		`{"NAME": "a"}`:                      `did you mean "name"?`,
		`{"cpus": 1e2}`:                      `cpus is "1e2"`,
		`{"name": "a"} {}`:                   `more after`,
		`[1]`:                                `a definition is a list of`,
		``:                                   `it is empty`,
		`{`:                                  `cannot be read`,
	} {
		_, err := ParseJSON([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

// Attack 28: what is deep, large or explosive is refused at once.
func TestBombsAreRefusedQuickly(t *testing.T) {
	aliases := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 30; i++ {
		aliases += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	const n = MaxTextBytes
	for name, text := range map[string]string{
		"aliases":        aliases,
		"deep flow":      "name: " + strings.Repeat("[", n/2),
		"deep braces":    strings.Repeat(`{"a":`, n/6),
		"deep sequences": strings.Repeat("- ", n/2),
		"deep lists":     "volumes: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"few keys":       strings.Repeat("x: 1\n", maxMarks),
		"many keys":      strings.Repeat("x: 1\n", n/5),
		"long":           strings.Repeat(" ", n+1),
		"many labels":    "labels: {" + strings.Repeat("a: b, ", n/6-10) + "}",
		"many volumes":   "volumes: [" + strings.Repeat("{},", n/3-10) + "]",
		"one long key":   strings.Repeat("x", n-2) + ": 1",
	} {
		for _, parse := range []func([]byte) (Definition, error){ParseYAML, ParseJSON} {
			start := time.Now()
			_, err := parse([]byte(text))
			took := time.Since(start)
			require.Error(t, err, name)
			require.Less(t, len(err.Error()), 200_000, name)
			t.Logf("%s: %v", name, took)
			// The goal is 100 ms, and the log shows what it took. What explodes takes for ever, on any machine.
			require.Less(t, took, 10*time.Second, name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"name":"a","volumes":[{}]}`))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range []func([]byte) (Definition, error){ParseYAML, ParseJSON} {
			def, err := parse(text)
			if err != nil {
				var faults Faults
				require.True(t, errors.Is(err, ErrSyntax) || errors.Is(err, ErrTextTooLarge) || errors.As(err, &faults), "%v", err)
				continue
			}
			_ = Validate(def)
			out, err := Marshal(def)
			require.NoError(t, err)
			_, err = ParseYAML(out)
			require.NoError(t, err, "%s", out)
		}
	})
}
