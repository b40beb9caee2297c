package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// On a disk that is full, the file stays as it was.
func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs to mount a small disk:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(folder, "splits.yaml")
	text := twoSplits + "# " + strings.Repeat("x", 20_000) + "\n"
	writeFile(t, path, text)
	writeFile(t, filepath.Join(folder, "other"), strings.Repeat("x", 30_000))
	_, err := file.ChangeSplit(t.Context(), path, "one", false, add)
	if want := path + ": cannot be written anew, and is as it was: no space left on device"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	wantText(t, path, text)
	if err := os.Remove(filepath.Join(folder, "other")); err != nil {
		t.Fatal(err)
	}
	if _, err := file.ChangeSplit(t.Context(), path, "one", false, add); err != nil {
		t.Error(err)
	}
}

// A file that is mounted by itself, as into a container, cannot be replaced.
func TestMountedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	from := filepath.Join(t.TempDir(), "splits.yaml")
	writeFile(t, path, "")
	writeFile(t, from, twoSplits)
	if err := syscall.Mount(from, path, "", syscall.MS_BIND, ""); err != nil {
		t.Skip("needs to mount a file:", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	_, err := file.ChangeSplit(t.Context(), path, "one", false, add)
	if want := path + ": device or resource busy: it is mounted by itself, so that no other file can take its place; edit it where it is mounted from"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	wantText(t, path, twoSplits)
}

// The new file belongs to whom the old one did, and has its mode.
func TestOwnerAndMode(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files away")
	}
	path := filepath.Join(t.TempDir(), "splits.yaml")
	writeFile(t, path, twoSplits)
	if err := os.Chown(path, 12, 34); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	_, err := file.ChangeSplit(t.Context(), path, "one", false, func(c *config.Config) ([]config.Edit, error) { return add(c) })
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 12 || s.Gid != 34 || info.Mode() != 0o640|os.ModeSetgid {
		t.Errorf("it belongs to %d and %d, with mode %v", s.Uid, s.Gid, info.Mode())
	}
}
