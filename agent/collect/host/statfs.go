package host

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// statfsPatience bounds how long mounts are waited for: a local one answers in microseconds.
const statfsPatience = 2 * time.Second

func statfs(path string) (unix.Statfs_t, error) {
	for {
		var size unix.Statfs_t
		err := unix.Statfs(path, &size)
		if !errors.Is(err, unix.EINTR) {
			return size, err
		}
	}
}
