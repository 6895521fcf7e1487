package vm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxSetMember bounds the numbers of CPUs and nodes.
const maxSetMember = 4096

// ErrSet is text that is no set of numbers.
var ErrSet = errors.New("no set of numbers")

// ParseSet reads a set such as 0-3,^2,8 in ascending order. An empty one is an error.
func ParseSet(text string) ([]int, error) {
	var in [maxSetMember]bool
	if len(text) > maxSetMember*5 {
		return nil, fmt.Errorf("%w: %d bytes", ErrSet, len(text))
	}
	for part := range strings.SplitSeq(text, ",") {
		part, out := strings.CutPrefix(strings.TrimSpace(part), "^")
		from, to, ranged := strings.Cut(part, "-")
		lo, err := member(from)
		hi := lo
		if err == nil && ranged {
			hi, err = member(to)
		}
		if err != nil || hi < lo {
			return nil, fmt.Errorf("%w: %.40q", ErrSet, part)
		}
		for n := lo; n <= hi; n++ {
			in[n] = !out
		}
	}
	var set []int
	for n, is := range in {
		if is {
			set = append(set, n)
		}
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrSet)
	}
	return set, nil
}

// FormatSet writes numbers in ascending order as ParseSet reads them, such as 0-3,8.
func FormatSet(set []int) string {
	var parts []string
	for i := 0; i < len(set); {
		last := i
		for last+1 < len(set) && set[last+1] == set[last]+1 {
			last++
		}
		part := strconv.Itoa(set[i])
		if last > i {
			part += "-" + strconv.Itoa(set[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}

func member(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n >= maxSetMember || strings.HasPrefix(text, "+") {
		return 0, fmt.Errorf("%w: %.40q", ErrSet, text)
	}
	return n, nil
}

// HugePageKiB is the size of a page written as 2M or 1G, in KiB; 0 where it is written otherwise.
func HugePageKiB(text string) int {
	if len(text) < 2 || len(text) > 6 {
		return 0
	}
	unit := map[byte]int{'K': 1, 'M': 1 << 10, 'G': 1 << 20}[text[len(text)-1]]
	n, err := strconv.Atoi(text[:len(text)-1])
	if err != nil || n < 1 || n > 1<<16 {
		return 0
	}
	return n * unit
}

// hugePageKiBs adds up the page sizes of an architecture.
func hugePageKiBs(arch string) uint64 {
	switch arch {
	case "aarch64":
		return 64 | 2<<10 | 32<<10 | 512<<10 | 1<<20 | 16<<20
	case "ppc64":
		return 2<<10 | 16<<10 | 1<<20 | 16<<20
	case "s390x":
		return 1 << 10
	case "riscv64":
		return 64 | 2<<10 | 1<<20
	default:
		return 2<<10 | 1<<20
	}
}

// pageSizes writes the page sizes of an architecture.
func pageSizes(arch string) string { return strings.Join(pageSizeList(arch), ", ") }

func smallestHugePage(arch string) string { return pageSizeList(arch)[0] }

func pageSizeList(arch string) []string {
	var list []string
	for kib, mask := uint64(1), hugePageKiBs(arch); kib <= mask; kib <<= 1 {
		if mask&kib == 0 {
			continue
		}
		switch {
		case kib >= 1<<20:
			list = append(list, fmt.Sprintf("%dG", kib>>20))
		case kib >= 1<<10:
			list = append(list, fmt.Sprintf("%dM", kib>>10))
		default:
			list = append(list, fmt.Sprintf("%dK", kib))
		}
	}
	return slices.Clip(list)
}
