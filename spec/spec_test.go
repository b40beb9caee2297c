package spec

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
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

// built is the folder of the executables, once a test has needed them.
var built struct {
	once sync.Once
	bin  string
	err  error
}

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "6") // scripts wait for processes and for time more than they work
	code := m.Run()
	if built.bin != "" {
		_ = os.RemoveAll(built.bin)
	}
	os.Exit(code)
}

// build makes the executables, once for all tests, and returns the folder they
// are in. It may be called by several tests at the same time.
func build(t *testing.T) string {
	t.Helper()
	list(t, append([]string{"-deps"}, executables...)...)
	built.once.Do(func() {
		if built.bin, built.err = os.MkdirTemp("", "spec"); built.err != nil {
			return
		}
		// Without what debuggers need: that takes a third of the time.
		args := append([]string{"build", "-ldflags=-s -w", "-o", built.bin + string(filepath.Separator)}, executables...)
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.bin
}

// condition answers the scripts' own conditions: [kong] reports whether they run
// on a real Kong, [postgres] whether that can have a database, [ipv6] whether this machine has ::1, [root] whether who runs them
// is root, [mount] whether a script may mount file systems of its own.
func condition(name string) (bool, error) {
	switch name {
	case "kong":
		return kongPath() != "", nil
	case "postgres":
		return hasPostgres(), nil
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
