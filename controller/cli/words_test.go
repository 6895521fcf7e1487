package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/novacron/novacron/cluster/pki"
	pb "github.com/novacron/novacron/proto/novacron/v1"
)

// TestAJoinLosesNoKeys: a token for another role or another cluster never takes the place of the context that is there.
func TestAJoinLosesNoKeys(t *testing.T) {
	made, elsewhere := newAuthority(t).material, authorityOf(t, "0123456789abcdef").material
	admin := made("root", pki.RoleAdmin)
	var told strings.Builder
	a := newApp(IO{Out: &told, Err: &told}.withDefaults())
	assert.Equal(t, "default", a.contextName(Config{}, admin))
	cfg := Config{Contexts: []Context{NewContext("default", []string{"127.0.0.1:7750"}, admin)}}
	assert.Equal(t, "default", a.contextName(cfg, admin), "renewed")
	assert.Equal(t, "viewer", a.contextName(cfg, made("eve", pki.RoleViewer)))
	assert.Equal(t, "cluster-01234567", a.contextName(cfg, elsewhere("root", pki.RoleAdmin)))

	taken := func(cfg Config, name string, m pki.Material) Config {
		cfg.Contexts = append(slices.Clone(cfg.Contexts), NewContext(name, []string{"127.0.0.1:7750"}, m))
		return cfg
	}
	viewer, reader := made("eve", pki.RoleViewer), made("dash", pki.RoleMetricsReader)
	hand := taken(cfg, "viewer", elsewhere("viewer", pki.RoleViewer))
	assert.Equal(t, "cluster-lab", a.contextName(hand, viewer), "--context viewer led to another cluster")
	other := elsewhere("root", pki.RoleAdmin)
	two := taken(cfg, "cluster-01234567", other)
	assert.Equal(t, "cluster-01234567", a.contextName(two, other), "renewed")
	assert.Equal(t, "cluster-01234567-viewer", a.contextName(two, elsewhere("eve", pki.RoleViewer)))
	three := taken(two, "cluster-01234567-viewer", elsewhere("eve", pki.RoleViewer))
	assert.Equal(t, "cluster-01234567-viewer-2", a.contextName(three, elsewhere("bob", pki.RoleViewer)))
	assert.Equal(t, "metrics-reader", a.contextName(taken(cfg, "metrics-reader", reader), reader), "renewed")
	assert.Equal(t, "cluster-lab", a.contextName(taken(cfg, "metrics-reader", reader), made("dash-2", pki.RoleMetricsReader)))
	a.context = "mine"
	assert.Equal(t, "mine", a.contextName(cfg, made("eve", pki.RoleViewer)))
	mine := taken(cfg, "mine", elsewhere("root", pki.RoleAdmin))
	assert.Equal(t, "viewer", a.contextName(mine, made("eve", pki.RoleViewer)), "--context mine would cost another's keys")
	assert.Contains(t, told.String(), `context "mine" is another's, and stays`)
	assert.Equal(t, "mine", a.contextName(mine, other), "renewed")
}

func TestLengthsOfTimeAsFlags(t *testing.T) {
	var into time.Duration
	s := &span{value: &into, above: true}
	for text, want := range map[string]string{"10m0s": "10m", "10m": "10m", "1d": "1d", "90s": "1m30s", "1h30m": "1h30m", "250ms": "250ms", "0": "", "-1s": "", "1.5h": ""} {
		err := s.Set(text)
		require.Equal(t, want == "", err != nil, "%q: %v", text, err)
		if err == nil {
			assert.Equal(t, want, s.String())
		}
	}
}

func TestSizesOfDisksAreInGiB(t *testing.T) {
	for text, want := range map[string]uint64{"20": 20 * gib, "20GiB": 20 * gib, "512MiB": 512 * mib, "1TiB": 1024 * gib} {
		got, err := parseDiskBytes(text)
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "20GB", "-1", "99999999999999999999"} {
		_, err := parseDiskBytes(text)
		assert.Error(t, err, text)
	}
}

func TestMachineTypesInShort(t *testing.T) {
	assert.Equal(t, "pc, q35; with their versions 4 types, which -o yaml lists", machinesText([]string{"pc", "pc-i440fx-7.2", "pc-q35-7.2", "q35"}))
	assert.Equal(t, "pc, q35", machinesText([]string{"pc", "q35"}))
	assert.Equal(t, "pc-i440fx-7.2, pc-q35-7.2", machinesText([]string{"pc-i440fx-7.2", "pc-q35-7.2"}))
	assert.Empty(t, machinesText(nil))
}

func TestParametersInWords(t *testing.T) {
	usual, empty := "2GiB", ""
	for want, p := range map[string]*pb.TemplateParameter{
		`size, "2GiB" when left out, from 1GiB to 64GiB: memory`: {Type: "size", Default: &usual, Min: "1GiB", Max: "64GiB", Description: "memory"},
		`string, may be left out: text`:                          {Type: "string", Default: &empty, Description: "text"},
		`int, needed, to 8`:                                      {Type: "int", Max: "8"},
	} {
		assert.Equal(t, want, parameterText(p))
	}
}
