package spec

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestNothingBuiltIsInTheRepository: go build leaves an executable in the folder of a command,
// under a name that .gitignore may not know.
func TestNothingBuiltIsInTheRepository(t *testing.T) {
	const most = 512 << 10 // the largest texts have less
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z").Output()
	if err != nil {
		t.Skip("this is no clone: ", err)
	}
	for name := range bytes.SplitSeq(bytes.TrimRight(out, "\x00"), []byte{0}) {
		file, err := os.Stat(filepath.Join("..", string(name)))
		if err == nil && file.Size() > most {
			t.Errorf("%s has %d bytes: git rm --cached it, and add it to .gitignore", name, file.Size())
		}
	}
}
