package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Replace puts a new content in place of the file's: [Locked.Prepare], and then commit.
func (l *Locked) Replace(content string) error {
	commit, _, err := l.Prepare(content)
	if err != nil {
		return err
	}
	return commit()
}

// Prepare writes a new content beside the file. It takes the place of the old one with
// commit, at once: whoever reads the file gets the one or the other, whole. The new file
// has the mode and the owner of the old one; where the path is a link, it stays, and what
// it leads to is replaced. After an error the file is as it was. One of commit and discard
// has to be called; afterwards the lock is of no use any more.
//
// What somebody else has written since it was read, who does not lock it, is an error. In
// the moment between that comparison and the renaming it would be lost.
func (l *Locked) Prepare(content string) (commit func() error, discard func(), err error) {
	draft, err := l.draft(content)
	discard = func() {
		if draft != "" {
			os.Remove(draft)
		}
	}
	if err == nil {
		err = l.unchanged()
	}
	if err != nil {
		discard()
		return nil, nil, inPath(l.path, err)
	}
	return func() error {
		err := l.replaceBy(draft)
		if err != nil {
			discard()
			return inPath(l.path, err)
		}
		if err := syncFolder(filepath.Dir(l.target)); err != nil {
			return fmt.Errorf("%s: is written; whether that outlives a crash of the machine is not known: %w", l.path, err)
		}
		return nil
	}, discard, nil
}

func (l *Locked) replaceBy(draft string) error {
	if err := l.unchanged(); err != nil {
		return err
	}
	err := withoutPath(os.Rename(draft, l.target))
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%w: it is mounted by itself, so that no other file can take its place; edit it where it is mounted from", err)
	}
	return err
}

// draft writes a file beside the one that it is to replace, and returns its path, which
// is empty if there is none. Its name is one that no reader of the folder takes for a
// split file.
func (l *Locked) draft(content string) (path string, err error) {
	info, err := l.file.Stat()
	if err != nil {
		return "", err
	}
	RemoveDrafts(l.target)
	f, err := os.CreateTemp(filepath.Dir(l.target), "."+filepath.Base(l.target)+".*.new")
	if err != nil {
		return "", fmt.Errorf("cannot be replaced: %w", withoutPath(err))
	}
	defer func() {
		err = errors.Join(err, f.Close())
	}()
	if err := sameOwner(f, info); err != nil {
		return f.Name(), err
	}
	if err := f.Chmod(info.Mode()); err != nil { // after the owner: a change of that clears bits
		return f.Name(), err
	}
	if _, err := f.WriteString(content); err != nil {
		return f.Name(), fmt.Errorf("cannot be written anew, and is as it was: %w", withoutPath(err))
	}
	return f.Name(), f.Sync()
}

// sameOwner gives a file the owner and the group of the one that it is to replace.
func sameOwner(f *os.File, like os.FileInfo) error {
	want, ok := like.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil || !ok {
		return err
	}
	if want.Nlink > 1 {
		return fmt.Errorf("has %d names, hard links; the others would keep the former content: give it one name", want.Nlink)
	}
	have, ok := info.Sys().(*syscall.Stat_t)
	if !ok || have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Errorf("is the user's %d and the group's %d, and would not be any more: run this as that user, or as root", want.Uid, want.Gid)
	}
	return nil
}

// syncFolder makes a renaming in a folder durable. Some file systems cannot, and need not.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
