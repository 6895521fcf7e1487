//go:build cgo && libvirt_dlopen

package libvirt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	lv "libvirt.org/go/libvirt"
	"pgregory.net/rapid"

	"github.com/novacron/novacron/agent/hypervisor"
	"github.com/novacron/novacron/vm"
	"github.com/novacron/novacron/vm/vmtest"
)

func goldens(t *testing.T, suffix string) []string {
	t.Helper()
	files, err := filepath.Glob("../testdata/golden/*" + suffix)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 40)
	return files
}

// TestGoldenXMLMeetsTheSchema asks libvirt's own schema, which it checks before all else. The test driver refuses
// most of these domains afterwards, because they are not its own.
func TestGoldenXMLMeetsTheSchema(t *testing.T) {
	needLibvirt(t)
	conn, err := lv.NewConnect("test:///default")
	require.NoError(t, err)
	defer conn.Close()
	for _, file := range goldens(t, ".xml") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		dom, err := conn.DomainDefineXMLFlags(string(text), lv.DOMAIN_DEFINE_VALIDATE)
		require.NotErrorIs(t, err, lv.ERR_XML_INVALID_SCHEMA, file)
		if err == nil {
			require.NoError(t, errors.Join(dom.Undefine(), dom.Free()))
		}
	}
}

// readBack defines a machine, compares what libvirt then tells of it, and forgets it.
func readBack(ctx context.Context, t require.TestingT, d hypervisor.Driver, def vm.Definition, text string) {
	require.NoError(t, d.Define(ctx, text), "%s", text)
	defer func() { require.NoError(t, d.Undefine(ctx, def.UUID)) }()
	seen, err := d.Domain(ctx, def.UUID)
	require.NoError(t, err)
	differences, err := hypervisor.Differences(&def, seen.XML)
	require.NoError(t, err)
	require.Empty(t, differences, "%s", seen.XML)
}

// TestDrawnDefinitionsOnTestDriver: any definition → XML → define → read back is as asked.
func TestDrawnDefinitionsOnTestDriver(t *testing.T) {
	d, ctx := openTestDriver(t), t.Context()
	rapid.Check(t, func(t *rapid.T) {
		def := vmtest.Valid(vmtest.Options{Arch: "i686", Machines: []string{"pc"}}).Draw(t, "definition")
		text, err := (&hypervisor.Template{Accelerator: acceleratorTest}).GenerateXML(&def)
		require.NoError(t, err)
		readBack(ctx, t, d, def, strings.Replace(text, ` machine="pc"`, "", 1))
	})
}

func TestDrawnDefinitionsOnQEMU(t *testing.T) {
	host, _ := labHost(t)
	d, ctx := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU}), t.Context()
	facts, err := d.Facts(t.Context())
	require.NoError(t, err)
	uefi := hypervisor.CheckHost(&vm.Definition{Name: "a", CPUs: 1, MemoryMB: 64, Arch: facts.Arch, Firmware: vm.FirmwareUEFI}, facts) == nil
	rapid.Check(t, func(t *rapid.T) {
		def := vmtest.Valid(vmtest.Options{UEFI: uefi}).Draw(t, "definition")
		text, err := (&hypervisor.Template{Accelerator: facts.Accelerator, Host: facts}).GenerateXML(&def)
		require.NoError(t, err)
		readBack(ctx, t, d, def, text)
	})
}

// TestGoldenDefinitionsOnQEMU defines every golden machine for the host at hand. What libvirt refuses, CheckHost must
// have refused before.
func TestGoldenDefinitionsOnQEMU(t *testing.T) {
	host, _ := labHost(t)
	d, ctx := openHost(t, host, Options{Accelerator: hypervisor.AcceleratorQEMU}), t.Context()
	facts, err := d.Facts(t.Context())
	require.NoError(t, err)
	accepted := 0
	for _, file := range goldens(t, ".yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			def, err := vm.ParseYAML(data)
			require.NoError(t, err)
			text, err := (&hypervisor.Template{Accelerator: facts.Accelerator, Host: facts}).GenerateXML(&def)
			require.NoError(t, err)
			if def.Boot != nil {
				text = strings.NewReplacer(">"+def.Boot.Kernel+"<", ">/pool/kernel<", ">"+def.Boot.Initrd+"<", ">/pool/initrd<").Replace(text)
			}
			unfit := hypervisor.CheckHost(&def, facts)
			if err := d.Define(t.Context(), text); err != nil {
				require.Error(t, unfit, "libvirt refuses what CheckHost passes: %v\n%s", err, text)
				t.Skipf("not for this host: %v; libvirt: %v", unfit, err)
			}
			require.NoError(t, d.Undefine(t.Context(), def.UUID))
			readBack(ctx, t, d, def, text)
			accepted++
		})
	}
	t.Logf("%d golden definitions were defined on QEMU %s with libvirt %s", accepted, facts.HypervisorVersion, facts.LibvirtVersion)
	require.GreaterOrEqual(t, accepted, 40)
}
