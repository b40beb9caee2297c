package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// What is behind the name of a file that was put aside.
const (
	damagedSuffix = ".damaged"
	newerSuffix   = ".newer"
)

// Aside lists the files that were put aside of the one at path, as they were damaged
// or of a newer version: whoever has looked at them removes them.
func Aside(path string) (there []string) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	for _, suffix := range []string{damagedSuffix, newerSuffix} {
		if _, err := os.Lstat(path + suffix); err == nil {
			there = append(there, path+suffix)
		}
	}
	return there
}

// takenError is that of a file which another process writes.
type takenError struct{ path, pid string }

func (e *takenError) Error() string {
	return fmt.Sprintf("%s is in use by another server, with the process id %s: "+
		"each server needs a file of its own (-state)", e.path, e.pid)
}

// irregularError is that of a path at which there is something else than a file.
type irregularError struct {
	path string
	mode fs.FileMode
}

func (e *irregularError) Error() string {
	return fmt.Sprintf("%s is no regular file (%v): name a file, which need not be there yet (-state)", e.path, e.mode.Type())
}

// readFile returns what is in the file at path; nothing where there is none.
func readFile(path string) ([]entry, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &irregularError{path, info.Mode()}
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const most int64 = int64(maxFile + endLength)
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("it is longer than %d bytes, the most that is read", most)
	}
	return decode(text)
}

// own makes the file this process's, unless another one has it. A file that is there
// and cannot be used is put aside.
func (f *File) own() error {
	if f.lock != nil {
		return nil
	}
	lock, err := os.OpenFile(f.path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		var pid [20]byte
		n, _ := lock.Read(pid[:])
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = &takenError{f.path, string(bytes.TrimSpace(pid[:n]))}
		} else {
			err = fmt.Errorf("locking %s: %w", lock.Name(), err)
		}
		return errors.Join(err, lock.Close())
	}
	// For who finds it taken. What cannot be written is said of the file itself.
	_ = lock.Truncate(0)
	_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	var irregular *irregularError
	if _, err = readFile(f.path); errors.As(err, &irregular) {
		return errors.Join(err, lock.Close())
	}
	if err != nil {
		if err := f.putAside(err); err != nil {
			return errors.Join(err, lock.Close())
		}
	}
	f.lock = lock
	return nil
}

// disown lets another process have the file.
func (f *File) disown() {
	if f.lock != nil {
		_ = f.lock.Close()
	}
}

// putAside renames a file that cannot be used.
func (f *File) putAside(why error) error {
	name := f.path + damagedSuffix
	if _, newer := errors.AsType[newerError](why); newer {
		name = f.path + newerSuffix
	}
	if _, err := os.Lstat(name); err == nil { // of before, and nobody has looked at it
		name += time.Now().UTC().Format("-20060102T150405.000Z")
	}
	if err := os.Rename(f.path, name); err != nil {
		return fmt.Errorf("%s cannot be used (%w), nor put aside: %w", f.path, why, err)
	}
	f.log.Error("the saved state cannot be used, and is put aside: the server goes on without it; remove the file when you have looked at it",
		"path", f.path, "put_aside", name, "error", why)
	return nil
}

// write writes the file: beside it first, so that it is whole at any time. It returns
// what was too much for it.
func (f *File) write() (dropped string, err error) {
	if err := f.own(); err != nil {
		return "", err
	}
	text, dropped := encode(f.snapshot(), atMost)
	beside := f.path + ".tmp"
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return "", err
	}
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(beside))
	}
	select {
	case <-f.retired: // meanwhile
		return "", os.Remove(beside)
	default:
	}
	if err := os.Rename(beside, f.path); err != nil {
		return "", errors.Join(err, os.Remove(beside))
	}
	return dropped, syncFolder(filepath.Dir(f.path))
}

// syncFolder has the new name outlive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	err = folder.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // some file systems cannot
		err = nil
	}
	return errors.Join(err, folder.Close())
}
