package tsdb

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that is written for people: 90d, 2w, 1h30m; 0 is «0s». A day has 24 hours and a year
// (y) 365 days.
type Duration time.Duration

// units are in the order in which a text has them.
var units = []struct {
	name string
	size Duration
}{{"y", 365 * day}, {"w", 7 * day}, {"d", day}, {"h", hour}, {"m", Duration(time.Minute)}, {"s", Duration(time.Second)}, {"ms", Duration(time.Millisecond)}}

func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, unit := range units {
		if unit.name == "y" || unit.name == "w" { // 730d reads better than 2y, and is exact to everyone
			continue
		}
		if n := d / unit.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			d -= n * unit.size
		}
	}
	return b.String()
}

// ParseDuration reads what String writes, and y and w.
func ParseDuration(text string) (Duration, error) {
	if text == "0" {
		return 0, nil
	}
	bad := fmt.Errorf("%.40q is no duration: write numbers with the units y, w, d, h, m, s and ms in this order, such as 90d or 1h30m", text)
	var sum Duration
	at := 0
	for rest := text; rest != "" || text == ""; {
		digits := 0
		for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
			digits++
		}
		letters := digits
		for letters < len(rest) && (rest[letters] < '0' || rest[letters] > '9') {
			letters++
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		for at < len(units) && units[at].name != rest[digits:letters] {
			at++
		}
		if err != nil || at == len(units) || n > int64((1<<63-1-sum)/units[at].size) {
			return 0, bad
		}
		sum += Duration(n) * units[at].size
		at++
		rest = rest[letters:]
	}
	return sum, nil
}

// MarshalText writes the duration as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}
