package block

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps a file that has the expected size for reading.
func mapFile(path string, size int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != size {
		return nil, fmt.Errorf("%s has %d bytes, %s says %d: the file was cut short or exchanged; restore it, or remove the block", path, info.Size(), metaName, size)
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s (%d bytes): %w", path, size, err)
	}
	return data, nil
}

// mapSegments maps the files of chunks and checks their headers.
func mapSegments(paths []string, sizes []int64) (maps [][]byte, err error) {
	for i, path := range paths {
		if sizes[i] < int64(len(segmentHeader)) || sizes[i] > maxSegment {
			return nil, errors.Join(fmt.Errorf("%s: %s says that it has %d bytes: a segment has %d to %d", path, metaName, sizes[i], len(segmentHeader), maxSegment), unmap(maps))
		}
		data, err := mapFile(path, sizes[i])
		if err != nil {
			return nil, errors.Join(err, unmap(maps))
		}
		maps = append(maps, data)
		if string(data[:len(segmentHeader)]) != segmentHeader {
			return nil, errors.Join(fmt.Errorf("%s begins with %q, a segment of this version with %q", path, data[:len(segmentHeader)], segmentHeader), unmap(maps))
		}
	}
	return maps, nil
}

func unmap(maps [][]byte) (err error) {
	for _, data := range maps {
		err = errors.Join(err, unix.Munmap(data))
	}
	return err
}
