package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lines are those of a file of the kernel's; a file that is not there has none.
func lines(path ...string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(path...))
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(data), "\n"), "\n"), nil
}

// absent tells whether the kernel does not have what was asked for: a missing file, or one that refuses to be read since
// there is nothing, as the speed of a link that is down or PSI that was switched off.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOTDIR)
}

// number reads a file that holds one.
func number(path ...string) (value float64, ok bool, err error) {
	text, err := lines(path...)
	if err != nil || len(text) == 0 {
		return 0, false, err
	}
	value, err = strconv.ParseFloat(strings.TrimSpace(text[0]), 64)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", filepath.Join(path...), err)
	}
	return value, true, nil
}

// keyed reads lines of a name, perhaps a colon, and a number; other lines are skipped.
func keyed(path ...string) (map[string]float64, error) {
	text, err := lines(path...)
	values := map[string]float64{}
	for _, line := range text {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if v, err := strconv.ParseFloat(fields[1], 64); err == nil {
			values[strings.TrimSuffix(fields[0], ":")] = v
		}
	}
	return values, err
}

// named are the entries of a folder; a folder that is not there has none.
func named(pattern ...string) []string {
	found, _ := filepath.Glob(filepath.Join(pattern...)) // fails for a bad pattern alone
	return found
}
