package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Locked is a file that nobody else writes who locks it as well. Editors do not; so what
// they have written in the meantime is looked for: see [Locked.Replace].
type Locked struct {
	Content string

	path   string // as it was given
	target string // where its links lead
	file   *os.File
}

// lockPause is how long to wait before a lock that somebody else has is tried again. One
// is held for as long as reading and writing a file takes.
const lockPause = 20 * time.Millisecond

// Lock locks a regular file for writing and reads it, up to limit bytes. It waits while
// somebody else has the lock, until the context ends. The caller has to close it.
//
// The lock is one of flock, on the file itself: it ends with the process, and leaves
// nothing behind.
func Lock(ctx context.Context, path string, limit int) (*Locked, error) {
	for {
		l, err := tryLock(path, limit)
		switch {
		case err == nil:
			return l, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: somebody else is writing it: %w", path, context.Cause(ctx))
		case <-time.After(lockPause):
		}
	}
}

// tryLock returns an error that is EWOULDBLOCK if somebody else has the lock, or has just
// put another file in place of the one that this call has locked.
func tryLock(path string, limit int) (*Locked, error) {
	to, err := writable(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(to) // opening what is not a regular file may block
	if err == nil {
		err = acceptable(info, limit)
	}
	if err != nil {
		return nil, inPath(path, err)
	}
	f, err := os.OpenFile(to, os.O_RDWR|syscall.O_NONBLOCK, 0) // for writing, so that a file that is not to be written is not
	if err != nil {
		return nil, inPath(path, err)
	}
	l := &Locked{path: path, target: to, file: f}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		l.Close()
		return nil, inPath(path, fmt.Errorf("cannot be locked: %w", err))
	}
	if l.Content, err = read(f, limit); err != nil {
		l.Close()
		return nil, inPath(path, err)
	}
	if err := l.unchanged(); err != nil {
		l.Close()
		return nil, syscall.EWOULDBLOCK
	}
	return l, nil
}

// Close unlocks the file.
func (l *Locked) Close() { l.file.Close() }

var errChanged = errors.New("was changed by somebody else since it was read; nothing was written: do it again")

// unchanged returns an error unless what is at the path is still the file that is locked,
// with the same content.
func (l *Locked) unchanged() error {
	to, err := filepath.EvalSymlinks(l.path)
	if err != nil || to != l.target {
		return errChanged
	}
	mine, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info, err := os.Stat(to); err != nil || !os.SameFile(mine, info) {
		return errChanged
	}
	if content, err := os.ReadFile(to); err != nil || string(content) != l.Content {
		return errChanged
	}
	return nil
}

// writable returns where a path leads when its links are followed, if a file can be put
// there in place of the one that is.
func writable(path string) (string, error) {
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", inPath(path, err)
	}
	for _, name := range strings.Split(to, string(filepath.Separator)) {
		if strings.HasPrefix(name, "..") && name != ".." {
			return "", inPath(path, errors.New("is a volume of Kubernetes', which would put its own content there again; edit the ConfigMap or the Secret: kubectl edit"))
		}
	}
	return to, nil
}

// inPath returns an error that says about which file it is, once.
func inPath(path string, err error) error { return fmt.Errorf("%s: %w", path, withoutPath(err)) }

// withoutPath returns an error of the system's alone.
func withoutPath(err error) error {
	switch e := err.(type) { // one that says more is left as it is
	case *os.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	}
	return err
}
