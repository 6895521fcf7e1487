package agent

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// smapsOfProgram lists a program's code, its relocated data, its variables, a library and memory without a file.
const smapsOfProgram = `00403000-0133d000 r-xp 00003000 fe:00 9987376                            /usr/bin/novacron
Rss:               15592 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
0255f000-02560000 r--p 0215e000 fe:00 9987376                            /usr/bin/novacron
Anonymous:             4 kB
02560000-025f4000 rw-p 0215f000 fe:00 9987376                            /usr/bin/novacron
Anonymous:             0 kB
7f686dec5000-7f686e142000 r-xp 000c5000 fe:00 326295                     /usr/lib/libcrypto.so.3
Anonymous:             0 kB
21bdf3000000-21bdf4000000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`

func TestOnlyCleanPagesOfTheProgramAreUnmapped(t *testing.T) {
	clean, err := cleanSpans(strings.NewReader(smapsOfProgram), "/usr/bin/novacron")
	if err != nil {
		t.Fatal(err)
	}
	if want := []span{{0x403000, 0x133d000}}; !slices.Equal(clean, want) {
		t.Errorf("got %x, want %x", clean, want)
	}
	if _, err := cleanSpans(strings.NewReader("00zz-11 r-xp 0 fe:00 1 /x\n"), "/x"); err == nil {
		t.Error("a mapping that cannot be read was passed over")
	}
}

func TestTheProgramRunsOnAfterItsPagesAreUnmapped(t *testing.T) {
	before := residentOfProgram(t)
	for range 3 {
		if err := unmapProgram(); err != nil {
			t.Fatal(err)
		}
	}
	after := residentOfProgram(t)
	t.Logf("mapped of the program: %d KiB before, %d KiB after", before, after)
	if after > before {
		t.Errorf("%d KiB are mapped after, %d KiB before", after, before)
	}
}

// residentOfProgram is what of this test's file is mapped, in KiB.
func residentOfProgram(t *testing.T) (kib int) {
	t.Helper()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	ours := false
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(fields[0], "-"):
			ours = fields[len(fields)-1] == program
		case ours && fields[0] == "Rss:":
			n := 0
			for _, digit := range fields[1] {
				n = 10*n + int(digit-'0')
			}
			kib += n
		}
	}
	return kib
}
