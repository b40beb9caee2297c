package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "splits.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.Symlink("splits.yaml", link); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		path, content string
		changed       bool
	}{
		{path, "one", true},
		{path, "one", false},
		{link, "two", true},
		{path, "two", false},
	} {
		changed, err := Write(t.Context(), step.path, step.content, 100)
		if err != nil || changed != step.changed {
			t.Errorf("%q into %s: changed is %v, the error %v", step.content, filepath.Base(step.path), changed, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != step.content {
			t.Errorf("after %q the file has %q, %v", step.content, got, err)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left over: %v", entries)
	}
	_, err := Write(t.Context(), filepath.Join(dir, "no", "such.yaml"), "x", 100)
	if err == nil || !strings.HasPrefix(err.Error(), filepath.Join(dir, "no", "such.yaml")+": cannot be made: ") {
		t.Errorf("in no folder: %v", err)
	}
}
