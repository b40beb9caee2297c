package server

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockTime is how long the lock of a folder is waited for, which is held for moments: then
// whoever has it hangs, and it is done without.
const lockTime = 3 * time.Second

// lockFolder lets one process at a time open a socket in the folder of path, and returns
// how to end that. A folder that cannot be read is not locked.
func lockFolder(path string) (unlock func()) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return func() {}
	}
	for end := time.Now().Add(lockTime); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !errors.Is(syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
			break
		}
	}
	return func() { _ = folder.Close() }
}
