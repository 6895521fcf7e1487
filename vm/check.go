package vm

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a definition that no host can widen. Sizes are in the unit of the name.
const (
	MaxCPUs        = 710
	MinMemoryMB    = 17
	MaxMemoryMB    = 16 << 20
	MaxDiskGB      = 64 << 10
	MaxVolumes     = 26
	MaxNICs        = 32
	MaxLabels      = 64
	MaxStopSeconds = 24 * 60 * 60
	MaxSlots       = 255
	MaxHostDevices = 32
	MaxSeedBytes   = 128 << 10
	// MaxIDE, MaxSATA and MaxFloppy are disks on one such bus, MaxPCISlots devices on machine pc.
	MaxIDE      = 4
	MaxSATA     = 6
	MaxFloppy   = 2
	MaxPCISlots = 22
	// MaxQueues is for one network card, MaxVLAN the highest tag, MinMTU in bytes.
	MaxQueues = 64
	MaxVLAN   = 4094
	MinMTU    = 576
	// MaxInterfaceName and MaxDiskSerial are in bytes.
	MaxInterfaceName = 15
	MaxDiskSerial    = 20
	// MinHotplugMB is what a machine needs at its start to be given more memory later.
	MinHotplugMB  = 1024
	maxCmdline    = 2047
	maxLabelValue = 253
	maxAnnotation = 4096
	maxKeys       = 64
	maxKeyBytes   = 16 << 10
	maxHosts      = 64
)

// A name of ours, of something libvirt has, of a label, of a host.
var (
	nameForm  = form{others: "-", most: 63}
	thingForm = form{others: "._-", most: 128, anyEnd: true}
	labelForm = form{others: "._/-", most: 63}
	hostForm  = form{others: ".-", most: 253}
)

// form is what a name looks like: at most so many letters, digits and others, with a letter or digit first, and last too
// unless any end will do. A large machine has hundreds of names; regular expressions would take as long as all other checks.
type form struct {
	others string
	most   int
	anyEnd bool
}

// MatchString tells whether s has the form.
func (f form) MatchString(s string) bool {
	if s == "" || len(s) > f.most || !alphanumeric(s[0]) || !f.anyEnd && !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte(f.others, s[i]) < 0 {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// checker collects faults.
type checker struct{ faults Faults }

// add notes a fault; value may be anything and is shortened, so that a bad definition cannot flood a log.
func (c *checker) add(path string, value any, limit, wayOut string) {
	text := shown(value)
	if isSecret(path) {
		text = Hidden
	}
	c.faults = append(c.faults, Fault{Path: path, Value: text, Limit: limit, WayOut: wayOut})
}

func shown(value any) string {
	s, ok := value.(string)
	if !ok {
		return fmt.Sprint(value)
	}
	if len(s) > 80 {
		return strconv.QuoteToASCII(strings.ToValidUTF8(s[:80], "")) + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return strconv.QuoteToASCII(s)
}

// between checks lo ≤ n ≤ hi.
func (c *checker) between(path string, n, lo, hi int, unit, wayOut string) {
	if n < lo || n > hi {
		c.add(path, n, fmt.Sprintf("%d to %d%s", lo, hi, unit), wayOut)
	}
}

// oneOf checks a word against a list and points at the nearest entry.
func (c *checker) oneOf(path, value string, allowed []string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	wayOut := "choose one of them"
	if near := nearest(value, allowed); near != "" {
		wayOut = fmt.Sprintf("did you mean %q?", near)
	}
	c.add(path, value, "one of "+strings.Join(allowed, ", "), wayOut)
}

// thing checks the name of an image, a pool or a network: a plain file name, never a path or an option.
func (c *checker) thing(path, value string) {
	if !thingForm.MatchString(value) || strings.Contains(value, "..") {
		c.add(path, value, "1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first, without \"..\"", "give a name, not a path")
	}
}

// text checks that s can be written to XML and shown on a terminal; also is what is allowed of control characters.
func (c *checker) text(path, s string, maxBytes int, also string) {
	if len(s) > maxBytes {
		c.add(path, s, fmt.Sprintf("at most %d bytes", maxBytes), "shorten it")
		return
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return badRune(r) && !strings.ContainsRune(also, r) }) {
		c.add(path, s, "valid UTF-8 without control characters", "remove them")
	}
}

// badRune is a character that XML 1.0 forbids or that acts on a terminal.
func badRune(r rune) bool {
	return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF || r == unicode.ReplacementChar
}

// CheckImageName tells whether name may name an image. The error is a Fault of path.
func CheckImageName(path, name string) error {
	c := &checker{}
	c.thing(path, name)
	return c.faults.Err()
}
