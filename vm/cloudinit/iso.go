package cloudinit

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// File is one file in the only folder of an image.
type File struct {
	// Name is 1 to 30 of a-z, 0-9, "-" and ".".
	Name    string
	Content []byte
}

// Limits of an image.
const (
	maxFiles      = 16
	maxName       = 30
	maxImageBytes = 4 << 20
)

// ErrImage is what cannot be put into an image.
var ErrImage = errors.New("no image of these files")

// sector is the unit of ISO 9660.
const sector = 2048

// Where things lie, in sectors. Joliet has tables of its own for names as they are; the content is there once.
const (
	atPrimary       = 16
	atJoliet        = 17
	atEnd           = 18
	atPrimaryTables = 19
	atJolietTables  = 21
	atPrimaryRoot   = 23
	atJolietRoot    = 24
	atContent       = 25
)

// pathTableBytes is the length of a path table that has the root alone.
const pathTableBytes = 10

// Image builds a file system of ISO 9660 (ECMA-119) with Joliet names, which Linux, the BSDs and Windows read. Its
// bytes follow from the arguments alone: every time in it is the same.
func Image(label string, files []File) ([]byte, error) {
	if err := check(label, files); err != nil {
		return nil, err
	}
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(plainName(a.Name), plainName(b.Name)) })
	sectors := atContent
	for _, f := range files {
		sectors += sectorsOf(len(f.Content))
	}
	image := make([]byte, sectors*sector)
	primary := tree{plainName, plainText, atPrimaryTables, atPrimaryRoot, nil}
	joliet := tree{jolietName, wideText, atJolietTables, atJolietRoot, []byte("%/E")}
	primary.describe(image[atPrimary*sector:], 1, label, sectors)
	joliet.describe(image[atJoliet*sector:], 2, label, sectors)
	copy(image[atEnd*sector:], "\xffCD001\x01")
	for _, t := range []tree{primary, joliet} {
		t.tables(image)
		t.folder(image[t.root*sector:(t.root+1)*sector], files)
	}
	at := atContent * sector
	for _, f := range files {
		copy(image[at:], f.Content)
		at += sectorsOf(len(f.Content)) * sector
	}
	return image, nil
}

func check(label string, files []File) error {
	if len(label) > 16 || label == "" {
		return fmt.Errorf("%w: label %.40q; 1 to 16 bytes", ErrImage, label)
	}
	if len(files) > maxFiles {
		return fmt.Errorf("%w: %d files; at most %d", ErrImage, len(files), maxFiles)
	}
	total, seen := 0, map[string]bool{}
	for _, f := range files {
		total += len(f.Content)
		if f.Name == "" || len(f.Name) > maxName || strings.Trim(f.Name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || seen[plainName(f.Name)] {
			return fmt.Errorf("%w: name %.40q; a different one of 1 to %d of a-z 0-9 . -", ErrImage, f.Name, maxName)
		}
		seen[plainName(f.Name)] = true
	}
	if total > maxImageBytes {
		return fmt.Errorf("%w: %d bytes; at most %d", ErrImage, total, maxImageBytes)
	}
	return nil
}

func sectorsOf(n int) int { return (n + sector - 1) / sector }

// tree is one of the two views of the files.
type tree struct {
	name func(string) string
	// text writes a field of a given length, padded with spaces.
	text   func(string, int) []byte
	table  int
	root   int
	escape []byte
}

// plainName is a name that every system reads.
func plainName(name string) string {
	plain := strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if !strings.Contains(plain, ".") {
		plain += "."
	}
	return plain + ";1"
}

func jolietName(name string) string { return wide(name) }

// wide writes UTF-16 in network order.
func wide(text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.BigEndian.AppendUint16(out, unit)
	}
	return string(out)
}

func plainText(text string, length int) []byte {
	return append([]byte(text), bytes.Repeat([]byte(" "), length-len(text))...)
}

func wideText(text string, length int) []byte {
	padded := wide(text + strings.Repeat(" ", length/2-len(text)))
	return append([]byte(padded), make([]byte, length-len(padded))...)
}

// describe writes a volume descriptor: ECMA-119, 8.4 and 8.5.
func (t tree) describe(out []byte, kind byte, label string, sectors int) {
	out[0] = kind
	copy(out[1:], "CD001\x01")
	copy(out[8:], t.text("", 32))
	copy(out[40:], t.text(label, 32))
	both32(out[80:], sectors)
	copy(out[88:], t.escape)
	both16(out[120:], 1)
	both16(out[124:], 1)
	both16(out[128:], sector)
	both32(out[132:], pathTableBytes)
	binary.LittleEndian.PutUint32(out[140:], uint32(t.table))
	binary.BigEndian.PutUint32(out[148:], uint32(t.table+1))
	copy(out[156:], record("\x00", t.root, sector, true))
	copy(out[190:], t.text("", 128))
	copy(out[318:], t.text("", 128))
	copy(out[446:], t.text("", 128))
	copy(out[574:], t.text("NOVACRON", 128))
	for _, at := range []int{702, 739, 776} {
		copy(out[at:], t.text("", 37))
	}
	for _, at := range []int{813, 830, 847, 864} {
		copy(out[at:], "0000000000000000\x00")
	}
	out[881] = 1
}

// tables writes the two path tables, which differ in the order of bytes.
func (t tree) tables(image []byte) {
	little, big := image[t.table*sector:], image[(t.table+1)*sector:]
	little[0], big[0] = 1, 1
	binary.LittleEndian.PutUint32(little[2:], uint32(t.root))
	binary.BigEndian.PutUint32(big[2:], uint32(t.root))
	binary.LittleEndian.PutUint16(little[6:], 1)
	binary.BigEndian.PutUint16(big[6:], 1)
}

// folder writes the records of the root folder: itself, its parent, which is itself, and the files.
func (t tree) folder(out []byte, files []File) {
	at := copy(out, record("\x00", t.root, sector, true))
	at += copy(out[at:], record("\x01", t.root, sector, true))
	where := atContent
	for _, f := range files {
		at += copy(out[at:], record(t.name(f.Name), where, len(f.Content), false))
		where += sectorsOf(len(f.Content))
	}
}

// record is a folder's entry: ECMA-119, 9.1. Its time is the first second of 1980.
func record(name string, where, length int, folder bool) []byte {
	out := make([]byte, (33+len(name)+1)&^1)
	out[0] = byte(len(out))
	both32(out[2:], where)
	both32(out[10:], length)
	copy(out[18:], []byte{80, 1, 1, 0, 0, 0, 0})
	if folder {
		out[25] = 2
	}
	both16(out[28:], 1)
	out[32] = byte(len(name))
	copy(out[33:], name)
	return out
}

// both32 writes a number in both orders of bytes, one after the other.
func both32(out []byte, n int) {
	binary.LittleEndian.PutUint32(out, uint32(n))
	binary.BigEndian.PutUint32(out[4:], uint32(n))
}

func both16(out []byte, n int) {
	binary.LittleEndian.PutUint16(out, uint16(n))
	binary.BigEndian.PutUint16(out[2:], uint16(n))
}
