package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts a content into a file, which need not be there, and reports whether that
// changed it. Whoever reads the file gets the old content or the new one, whole. Others
// who write it with [Lock] are waited for.
func Write(ctx context.Context, path, content string, limit int) (changed bool, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		err := create(path, content)
		return err == nil, err
	}
	l, err := Lock(ctx, path, limit)
	if err != nil {
		return false, err
	}
	defer l.Close()
	if l.Content == content {
		return false, nil
	}
	err = l.Replace(content)
	return err == nil, err
}

// create makes a file that is not there, with the mode that the user's umask leaves.
func create(path, content string) error {
	draft := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d.new", filepath.Base(path), os.Getpid()))
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fmt.Errorf("%s: cannot be made: %w", path, withoutPath(err))
	}
	defer os.Remove(draft) // unless it was renamed
	_, err = f.WriteString(content)
	for _, step := range []func() error{f.Sync, f.Close, func() error { return os.Rename(draft, path) }} {
		if wrong := step(); err == nil {
			err = wrong
		}
	}
	if err != nil {
		return fmt.Errorf("%s: cannot be made: %w", path, withoutPath(err))
	}
	return syncFolder(filepath.Dir(path))
}
