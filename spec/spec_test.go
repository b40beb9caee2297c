package spec

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScenarios plays the scripts of testdata, each with processes of its own.
func TestScenarios(t *testing.T) {
	bin := build(t)
	workers := 2
	if text := os.Getenv("SPEC_WORKERS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("SPEC_WORKERS: %q is not a number of workers, such as 4", text)
		}
		workers = n
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		WorkdirRoot:        t.TempDir(),
		Cmds:               commands(),
		Condition:          condition,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			s, err := newScene(env, bin, workers)
			if err != nil {
				return err
			}
			env.Values[sceneKey{}] = s
			env.Setenv("bin", bin)
			env.Defer(s.close)
			return nil
		},
	})
}

// executables are what the scripts run.
var executables = []string{module + "/cmd/...", module + "/spec/faulty"}

// build makes the executables and returns the folder they are in.
func build(t *testing.T) string {
	t.Helper()
	list(t, append([]string{"-deps"}, executables...)...)
	bin := t.TempDir()
	args := append([]string{"build", "-o", bin + string(filepath.Separator)}, executables...)
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// condition answers the scripts' own conditions: [kong] says whether they run
// on a real Kong, [ipv6] whether this machine has ::1, [root] whether who runs them
// is root, [mount] whether a script may mount file systems of its own.
func condition(name string) (bool, error) {
	switch name {
	case "kong":
		return kongPath() != "", nil
	case "ipv6":
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			return false, nil
		}
		return true, l.Close()
	case "root":
		return os.Getuid() == 0, nil
	case "mount":
		return exec.Command("unshare", "-m", "sh", "-c", "mount -t tmpfs none /tmp").Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// kongPath is the executable of a real Kong; empty: the scripts run on the
// stand-in.
func kongPath() string { return os.Getenv("SPEC_KONG") }
