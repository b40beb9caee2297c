package file

import (
	"os"
	"path/filepath"
	"strings"
)

// RemoveDrafts removes what writers that were killed have left beside a file: the new content
// that was to take its place. It is for who writes the file alone, or has locked it.
func RemoveDrafts(path string) {
	folder, name := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // then nothing is written either
	}
	for _, e := range entries {
		rest, begins := strings.CutPrefix(e.Name(), "."+name+".")
		number, ends := strings.CutSuffix(rest, ".new")
		if begins && ends && number != "" && strings.Trim(number, "0123456789") == "" && e.Type().IsRegular() {
			os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}
