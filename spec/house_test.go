package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "kong-traffic-split"
	pdk    = "github.com/Kong/go-pdk"
)

// A room of the house and what it may know of. Patterns are import paths, from
// the module on; "x/..." is x and everything below it.
type room struct {
	name string
	// of our own packages it may import these, and its own
	ours []string
	// what it must not import, not even through others, and why; of the
	// standard library counts what our own packages import
	never map[string]string
}

var house = []room{
	{
		name: "plugin/split",
		never: map[string]string{
			pdk + "/...": "the core decides for any gateway",
			"net":        "the core does no I/O",
			"net/http":   "the core does no I/O",
			"os/...":     "the core does no I/O",
			"log/...":    "the core says what it decided by returning it",
			"math/rand":  "random bits are a fact that the caller brings", "math/rand/v2": "random bits are a fact that the caller brings",
		},
	},
	{
		name: "plugin/config",
		ours: []string{"plugin/split"},
		never: map[string]string{
			pdk + "/...": "the same configuration serves split files and tools",
			"net/http":   "a configuration is checked without a network",
		},
	},
	{
		name:  "plugin",
		ours:  []string{"plugin/split", "plugin/config", "plugin/state"},
		never: map[string]string{"net/http": "Kong does the HTTP"},
	},
	{
		name:  "plugin/health",
		ours:  []string{"plugin/state"},
		never: map[string]string{pdk + "/...": "a backend is probed on its own, whatever asks Kong"},
	},
	{
		name: "plugin/state",
		never: map[string]string{
			pdk + "/...": "what is saved outlives any plugin",
			"net/http":   "it is saved on this machine",
		},
	},
	{
		name: "plugin/server",
		ours: []string{"kong/wire", "plugin/state"},
	},
	{
		name: "plugin/server/keeper",
		ours: []string{"plugin/state"},
		never: map[string]string{
			pdk + "/...":            "it keeps connections of any server",
			"google.golang.org/...": "it is small enough to be trusted never to die",
		},
	},
	{
		name:  "plugin/file",
		ours:  []string{"plugin/config", "plugin/state"},
		never: map[string]string{pdk + "/...": "split files serve tools without Kong"},
	},
	{
		name: "plugin/status",
		ours: []string{"plugin"},
	},
	{
		name: "plugin/simulate",
		ours: []string{"plugin/split"},
		never: map[string]string{
			pdk + "/...": "a simulation needs no gateway",
			"net/http":   "a simulation needs no network",
			"net":        "a simulation needs no network",
		},
	},
	{
		name: "kong",
	},
	{
		name: "kong/wire",
	},
	{
		name: "kong/declarative",
	},
	{
		name: "kong/check",
		ours: []string{"kong/declarative", "plugin/config"},
		never: map[string]string{
			pdk + "/...": "files are checked without a plugin server",
			"net/http":   "files are checked without a network",
		},
	},
	{
		name:  "kong/standin",
		ours:  []string{"kong/wire", "kong/declarative"},
		never: map[string]string{"kong-traffic-split/plugin/...": "it reaches the plugin only over the socket, as Kong does"},
	},
	{
		name:  "kong/demo",
		ours:  []string{"kong", "kong/standin", "kong/declarative"},
		never: map[string]string{"kong-traffic-split/plugin/...": "it plays with the executables that a user has"},
	},
	{
		name: "cmd/traffic-split",
		ours: []string{"plugin", "plugin/config", "plugin/server", "plugin/server/keeper", "plugin/file", "plugin/health", "plugin/state", "plugin/status"},
	},
	{
		name: "cmd/splitctl",
		ours: []string{"kong/standin", "kong/demo", "kong/check", "kong/declarative", "plugin", "plugin/config", "plugin/file", "plugin/simulate"},
	},
	{
		name: "cmd/echo",
	},
	{
		name: "spec/faulty",
		ours: []string{"plugin", "plugin/config", "plugin/server", "plugin/server/keeper"},
	},
}

func TestHouse(t *testing.T) {
	packages := list(t, module+"/...")
	for _, r := range house {
		t.Run(r.name, func(t *testing.T) {
			p, ok := packages[path.Join(module, r.name)]
			if !ok {
				t.Fatalf("there is no such room; who moved it mends the table")
			}
			for _, imported := range p.Imports {
				own, isOurs := strings.CutPrefix(imported, module+"/")
				if isOurs && !slices.Contains(r.ours, own) {
					t.Errorf("imports %s; it may import only %q of ours", own, r.ours)
				}
			}
			for pattern, why := range r.never {
				for dep := range reached(packages, p) {
					if matches(pattern, dep) {
						t.Errorf("reaches %s: %s", dep, why)
					}
				}
			}
		})
	}
}

// TestOnlyTheBenchUsesTheStockServer: plugin/server takes its place.
func TestOnlyTheBenchUsesTheStockServer(t *testing.T) {
	for importPath, p := range list(t, module+"/...") {
		if slices.Contains(p.Imports, pdk+"/server") && importPath != module+"/spec/bench" {
			t.Errorf("%s imports go-pdk's server", importPath)
		}
	}
}

// TestHouseIsWhole fails for a package that nobody gave rules to.
func TestHouseIsWhole(t *testing.T) {
	for importPath := range list(t, module+"/...") {
		name, ours := strings.CutPrefix(importPath, module+"/")
		known := slices.ContainsFunc(house, func(r room) bool { return r.name == name })
		if ours && !known && !strings.HasPrefix(name, "spec") && path.Base(name) != "generate" {
			t.Errorf("%s has no rules in the table", name)
		}
	}
}

// reached is what p imports itself, through our own packages, and of other
// modules through anything.
func reached(packages map[string]listed, p listed) map[string]bool {
	found := map[string]bool{}
	for _, dep := range append(slices.Clone(p.Deps), p.ImportPath) {
		if of, ours := packages[dep]; ours {
			for _, imported := range of.Imports {
				found[imported] = true
			}
		} else if domain, _, _ := strings.Cut(dep, "/"); strings.Contains(domain, ".") {
			found[dep] = true
		}
	}
	return found
}

type listed struct {
	ImportPath    string
	Imports, Deps []string
	Dir           string
	Module        *struct {
		Main  bool
		GoMod string
	}
}

// list lists packages. It looks at what it lists of ours: the go command repeats
// what a test has said before only where nothing has changed that the test has
// looked at itself; of what another go command reads it knows nothing.
func list(t *testing.T, args ...string) map[string]listed {
	t.Helper()
	args = append([]string{"list", "-json=ImportPath,Imports,Deps,Dir,Module"}, args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	packages := map[string]listed{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
		if p.Module != nil && p.Module.Main {
			p.look(t)
		}
	}
}

// look looks at a package's files, and at where one beside it would be.
func (p listed) look(t *testing.T) {
	t.Helper()
	_, err := os.ReadDir(p.Dir)
	for _, path := range []string{filepath.Dir(p.Dir), p.Module.GoMod} {
		_, cannot := os.Stat(path)
		err = errors.Join(err, cannot)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func matches(pattern, importPath string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return importPath == below || strings.HasPrefix(importPath, below+"/")
	}
	return importPath == pattern
}
