package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"96MiB": 96, "2GiB": 2048, "512": 512, "1T": 1 << 20, "3Gi": 3072, "0": 0} {
		got, err := parseMiB(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"": "is no size", "GiB": "is no size", "-1": "is no size", "1.5GiB": "is no size", "2GB": "not known", "7KiB": "not known",
		"99999999999999999999": "is no size", "18446744073709551615T": "beyond the limit", "5000T": "beyond the limit",
	} {
		_, err := parseMiB(text)
		require.ErrorContains(t, err, want, text)
	}
	_, err := parseGiB("1536MiB")
	require.ErrorContains(t, err, "not a whole number of GiB")
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"96MiB", "2GiB", "1T", "", "GiB", "18446744073709551615T", "0x10", "1_000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseMiB(text)
		if err != nil {
			return
		}
		again, err := parseMiB(formatMiB(n))
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}

func TestFormat(t *testing.T) {
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1536: "1.5KiB", 2 << 30: "2GiB", 1<<64 - 1: "16EiB"} {
		require.Equal(t, want, formatBytes(n))
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 119 * time.Minute: "119m", 3 * time.Hour: "3h", 48 * time.Hour: "2d",
	} {
		require.Equal(t, want, formatSpan(d))
	}
	require.Equal(t, "a·[31mb·", clean("a\x1b[31mb\n"))
}

func TestAlignment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.StringMatching(`[a-zé]{1,9}`), 3, 3), 1, 8).Draw(t, "rows")
		lines := strings.Split(strings.TrimSuffix(align(rows, widths(rows)), "\n"), "\n")
		require.Len(t, lines, len(rows))
		for i, line := range lines {
			require.Equal(t, rows[i], strings.Fields(line))
			require.Equal(t, secondColumn(lines[0], rows[0]), secondColumn(line, rows[i]))
		}
	})
}

// secondColumn is the place, in characters, where the second cell of a line starts.
func secondColumn(line string, row []string) int {
	rest := strings.TrimPrefix(line, row[0])
	return len([]rune(row[0])) + len(rest) - len(strings.TrimLeft(rest, " "))
}
