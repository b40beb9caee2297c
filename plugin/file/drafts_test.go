package file

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What a writer that was killed has left is gone with the next change, and nothing else.
func TestDrafts(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "splits.yaml", "a: 1\n")
	write(t, dir, ".splits.yaml.123.new", "half")
	write(t, dir, ".splits.yaml.45.new", "half")
	kept := []string{".other.yaml.123.new", ".splits.yaml..new", ".splits.yaml.x1.new", "splits.yaml", "splits.yaml.1.new"}
	for _, name := range kept {
		if name != "splits.yaml" {
			write(t, dir, name, "of somebody")
		}
	}
	if changed, err := Write(context.Background(), path, "a: 2\n", 100); !changed || err != nil {
		t.Fatal(changed, err)
	}
	var left []string
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, kept) {
		t.Errorf("left are %q, want %q", left, kept)
	}
}
