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
		return true, create(path, content)
	}
	l, err := Lock(ctx, path, limit)
	if err != nil {
		return false, err
	}
	defer l.Close()
	if l.Content == content {
		return false, nil
	}
	return true, l.Replace(content)
}

// create makes a file that is not there.
func create(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new")
	if err != nil {
		return fmt.Errorf("%s: cannot be made: %w", path, withoutPath(err))
	}
	defer os.Remove(f.Name()) // unless it was renamed
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("%s: cannot be made: %w", path, withoutPath(err))
	}
	return syncFolder(filepath.Dir(path))
}
