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

// What a file's name ends in once it is put aside.
const (
	damagedSuffix = ".damaged"
	newerSuffix   = ".newer"
)

// PutAside lists the former files at path that were renamed, as they were damaged or of a
// newer version. An operator removes them after a look at them.
func PutAside(path string) (files []string) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	for _, suffix := range []string{damagedSuffix, newerSuffix} {
		if _, err := os.Lstat(path + suffix); err == nil {
			files = append(files, path+suffix)
		}
	}
	return files
}

// takenError is the error of a file that another process writes.
type takenError struct{ path, pid string }

func (e *takenError) Error() string {
	return fmt.Sprintf("%s is in use by another server, with the process id %s: "+
		"each server needs a file of its own (-state)", e.path, e.pid)
}

// irregularError is the error of a path at which there is something else than a regular
// file.
type irregularError struct {
	path string
	mode fs.FileMode
}

func (e *irregularError) Error() string {
	return fmt.Sprintf("%s is no regular file (%v): name a file, which need not be there yet (-state)", e.path, e.mode.Type())
}

// readFile returns the values in the file at path; none where there is no file.
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

// acquire locks the file for this process, unless another one has it. A file that is there
// and cannot be used is put aside.
func (f *File) acquire() error {
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
	// The process id is for other processes, which name it in their errors. Where it cannot
	// be written, neither can the file, which is reported.
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

// release lets another process have the file.
func (f *File) release() {
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
	if _, err := os.Lstat(name); err == nil { // one that was put aside before, and not removed
		name += time.Now().UTC().Format("-20060102T150405.000Z")
	}
	if err := os.Rename(f.path, name); err != nil {
		return fmt.Errorf("%s cannot be used (%w), nor put aside: %w", f.path, why, err)
	}
	f.log.Error("the saved state cannot be used, and is put aside: the server goes on without it; remove the file when you have looked at it",
		"path", f.path, "put_aside", name, "error", why)
	return nil
}

// write writes the file: a temporary one first, so that the file is complete at any time.
// It says what did not fit; empty: everything did.
func (f *File) write() (dropped string, err error) {
	if err := f.acquire(); err != nil {
		return "", err
	}
	text, dropped := encode(f.snapshot(), fileBounds)
	temporary := f.path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a process that was killed
		return "", err
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(temporary))
	}
	select {
	case <-f.retired: // since the write began
		return "", os.Remove(temporary)
	default:
	}
	if err := os.Rename(temporary, f.path); err != nil {
		return "", errors.Join(err, os.Remove(temporary))
	}
	return dropped, syncFolder(filepath.Dir(f.path))
}

// syncFolder makes the file's new name outlive a power cut.
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
