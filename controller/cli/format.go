package cli

import (
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// parseMiB reads an amount of memory: 96MiB, 2GiB, or plain MiB.
func parseMiB(text string) (uint64, error) { return parseSize(text, mib) }

// parseGiB reads the size of a disk: 20GiB, 1TiB, or plain GiB.
func parseGiB(text string) (uint64, error) { return parseSize(text, gib) }

// parseSize reads an amount and answers it in the given unit, of which it must be a whole multiple.
func parseSize(text string, unit uint64) (uint64, error) {
	digits := strings.TrimRight(text, "KMGTPiBb")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: use a whole number with MiB, GiB or TiB, such as 2GiB", text)
	}
	scale, err := unitSize(text[len(digits):], unit)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, err)
	}
	high, bytes := bits.Mul64(n, scale)
	if high != 0 || bytes/unit > math.MaxUint32 {
		return 0, fmt.Errorf("%q is beyond the limit of %s", text, formatBytes(math.MaxUint32*unit))
	}
	if bytes%unit != 0 {
		return 0, fmt.Errorf("%q is not a whole number of %s", text, unitName(unit))
	}
	return bytes / unit, nil
}

func unitSize(suffix string, plain uint64) (uint64, error) {
	switch suffix {
	case "":
		return plain, nil
	case "M", "Mi", "MiB":
		return mib, nil
	case "G", "Gi", "GiB":
		return gib, nil
	case "T", "Ti", "TiB":
		return 1 << 40, nil
	}
	return 0, fmt.Errorf("unit %q is not known: use MiB, GiB or TiB, which count in 1024s", suffix)
}

func unitName(unit uint64) string {
	if unit == mib {
		return "MiB"
	}
	return "GiB"
}

// formatMiB writes an amount of MiB so that parseMiB reads the same.
func formatMiB(n uint64) string {
	if n != 0 && n%1024 == 0 {
		return fmt.Sprintf("%dGiB", n/1024)
	}
	return fmt.Sprintf("%dMiB", n)
}

// formatGiB writes an amount of GiB so that parseGiB reads the same.
func formatGiB(n uint64) string { return fmt.Sprintf("%dGiB", n) }

// formatBytes rounds to one decimal of the largest unit that fits.
func formatBytes(n uint64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	value, i := float64(n)/1024, 0
	for ; value >= 1024 && i < len(units)-1; i++ {
		value /= 1024
	}
	return strings.TrimSuffix(strconv.FormatFloat(value, 'f', 1, 64), ".0") + units[i]
}

// formatSpan is a length of time in its largest unit: 42s, 5m, 3h, 12d.
func formatSpan(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// age tells how long ago a moment was; "-" when there was none.
func (a *app) age(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return formatSpan(a.io.Now().Sub(t.AsTime()))
}

// until tells how far ahead a moment is.
func (a *app) until(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	left := t.AsTime().Sub(a.io.Now())
	if left <= 0 {
		return "expired"
	}
	if left > 2*time.Minute {
		left = left.Round(time.Minute)
	}
	return formatSpan(left)
}

// moment is a time for machines; empty when there is none.
func moment(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

// word turns an enumeration's name into what people read: VM_PHASE_RUNNING is "running".
func word(value fmt.Stringer, prefix string) string {
	name := strings.TrimPrefix(value.String(), prefix)
	if name == "UNSPECIFIED" {
		return "-"
	}
	return strings.ToLower(name)
}

// joinPairs writes k=v,k=v by key.
func joinPairs(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, key+"="+m[key])
	}
	return strings.Join(parts, ",")
}

// clean keeps text of others from moving the cursor or colouring the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, text)
}

// dash stands for nothing in a table.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func timestamp(t *time.Time) *timestamppb.Timestamp {
	if t == nil {
		return nil
	}
	return timestamppb.New(*t)
}

func star(yes bool) string {
	if yes {
		return "*"
	}
	return ""
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
