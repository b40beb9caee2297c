package spec

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var unit = regexp.MustCompile("(?s)\n```ini\n(.*?)```\n")

// systemd takes the units of the documentation, and says nothing of them.
func TestUnitsOfDocs(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze, which is in Debian's package systemd")
	}
	text, err := os.ReadFile("../docs/start.md")
	if err != nil {
		t.Fatal(err)
	}
	units := unit.FindAllStringSubmatch(string(text), -1)
	if len(units) != 1 {
		t.Fatalf("there are %d units, want 1", len(units))
	}
	const executable = "/opt/traffic-split/traffic-split"
	if n := strings.Count(units[0][1], executable+" "); n != 1 {
		t.Fatalf("%s is in it %d times, want 1", executable, n)
	}
	path := filepath.Join(t.TempDir(), "traffic-split.service")
	// It has to be there, and is not on this machine.
	if err := os.WriteFile(path, []byte(strings.Replace(units[0][1], executable, "/bin/true", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(verify, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
