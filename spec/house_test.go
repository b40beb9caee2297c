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
	"regexp"
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
	// the packages of ours that it may import, and those that only its tests may
	ours, tests []string
	// what it must not reach, not even through others, and why; of the standard
	// library counts what our own packages import
	never map[string]string
	// what it must not import, though it may reach it through others
	neverItself map[string]string
}

var house = []room{
	{
		name: "plugin/split",
		never: map[string]string{
			pdk + "/...":    "the core decides for any gateway",
			"net":           "the core does no I/O",
			"net/http":      "the core does no I/O",
			"os/...":        "the core does no I/O",
			"log/...":       "the core says what it decided by returning it",
			"math/rand/...": "random bits are a fact that the caller brings",
			"crypto/rand":   "random bits are a fact that the caller brings",
			"hash/maphash":  "the same key has the same place on every node, in every process",
		},
	},
	{
		name:  "plugin/config",
		ours:  []string{"plugin/split"},
		tests: []string{"kong/declarative"},
		never: map[string]string{
			pdk + "/...": "the same configuration serves split files and tools",
			"net/http":   "a configuration is checked without a network",
			"os/...":     "a configuration is checked without a file",
			"log/...":    "what is wrong is returned",
		},
	},
	{
		name: "plugin/config/generate",
		ours: []string{"plugin/config"},
	},
	{
		name:        "plugin",
		ours:        []string{"plugin/split", "plugin/config", "plugin/health", "plugin/mirror", "plugin/state"},
		tests:       []string{"kong/wire"},
		neverItself: map[string]string{"net/http": "Kong does the HTTP of requests; plugin/health and plugin/mirror, whose types it uses, that of probes and copies"},
	},
	{
		name:  "plugin/health",
		ours:  []string{"plugin/state"},
		never: map[string]string{pdk + "/...": "a backend is probed on its own, whatever asks Kong"},
	},
	{
		name:  "plugin/mirror",
		never: map[string]string{pdk + "/...": "a copy goes to a host, whatever gateway the request came by"},
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
		name:  "plugin/server/keeper",
		ours:  []string{"plugin/state"},
		tests: []string{"kong/wire", "plugin/server"},
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
		name: "plugin/rollout",
		ours: []string{"plugin/config", "plugin/split"},
		never: map[string]string{
			pdk + "/...": "a config is edited without a gateway",
			"net/http":   "whoever calls it writes the config",
			"os/...":     "whoever calls it writes the config",
		},
	},
	{
		name:  "plugin/status",
		ours:  []string{"plugin", "plugin/split"},
		tests: []string{"plugin/health", "plugin/mirror"},
	},
	{
		name:  "plugin/status/top",
		ours:  []string{"plugin/status"},
		tests: []string{"plugin", "plugin/split"},
		never: map[string]string{"kong-traffic-split/kong/...": "it shows what servers report, whatever gateway they serve"},
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
		name: "kong/companion",
	},
	{
		name: "kong/wire",
	},
	{
		name: "kong/declarative",
		ours: []string{"kong/expression"},
	},
	{
		name:  "kong/expression",
		never: map[string]string{"net/http": "an expression is evaluated for values, whatever they are of"},
	},
	{
		name: "kong/admin",
		ours: []string{"plugin/config"},
		never: map[string]string{
			pdk + "/...": "Kong is asked over its Admin API",
			"os/...":     "whoever calls it brings the token",
		},
	},
	{
		name: "kong/check",
		ours: []string{"kong/companion", "kong/declarative", "kong/expression", "kong/httproute", "plugin/config", "plugin/file"},
		never: map[string]string{
			pdk + "/...": "files are checked without a plugin server",
			"net/http":   "files are checked without a network",
		},
	},
	{
		name:  "kong/httproute",
		ours:  []string{"kong/companion", "kong/declarative", "kong/expression", "plugin/config"},
		tests: []string{"kong/standin"},
		never: map[string]string{
			pdk + "/...": "routes are converted without a gateway",
			"net/http":   "routes are converted without a cluster",
		},
	},
	{
		name: "kong/httproute/generate",
	},
	{
		name:  "kong/doctor",
		ours:  []string{"kong/admin", "kong/companion", "plugin", "plugin/config", "plugin/rollout", "plugin/split", "plugin/status"},
		tests: []string{},
		never: map[string]string{"kong-traffic-split/kong/standin": "it asks whatever Kong there is"},
	},
	{
		name: "kong/manifest",
		ours: []string{"plugin/config", "plugin/file"},
		never: map[string]string{
			pdk + "/...": "a manifest is patched without a gateway",
			"net/http":   "a manifest is patched without a cluster",
			"k8s.io/...": "a manifest is a text; whoever needs Kubernetes' client has a module of its own",
		},
	},
	{
		name:  "kong/standin",
		ours:  []string{"kong/wire", "kong/companion", "kong/declarative", "kong/expression"},
		never: map[string]string{"kong-traffic-split/plugin/...": "it reaches the plugin only over the socket, as Kong does"},
	},
	{
		name:  "kong/demo",
		ours:  []string{"kong", "kong/standin", "kong/declarative"},
		never: map[string]string{"kong-traffic-split/plugin/...": "it plays with the executables that a user has"},
	},
	{
		name: "cmd/traffic-split",
		ours: []string{"plugin", "plugin/config", "plugin/server", "plugin/server/keeper", "plugin/file", "plugin/health", "plugin/mirror", "plugin/state", "plugin/status"},
	},
	{
		name: "cmd/command",
	},
	{
		name: "cmd/command/demo",
		ours: []string{"cmd/command", "kong/demo"},
	},
	{
		name: "cmd/demo",
		ours: []string{"cmd/command", "cmd/command/demo"},
		never: map[string]string{
			"sigs.k8s.io/...": "whoever begins with the demo is not to wait for what it does not use",
		},
	},
	{
		name: "cmd/splitctl",
		ours: []string{"cmd/command", "cmd/command/demo", "kong/standin", "kong/admin", "kong/httproute", "kong/check", "kong/declarative", "kong/doctor", "kong/manifest", "plugin", "plugin/config", "plugin/file", "plugin/rollout", "plugin/simulate", "plugin/status", "plugin/status/top"},
	},
	{
		name: "cmd/echo",
	},
	{
		name:  "spec",
		tests: []string{"kong/wire"},
		never: map[string]string{"kong-traffic-split/plugin/...": "scenarios play with the executables that a user has"},
	},
	{
		name: "spec/faulty",
		ours: []string{"plugin", "plugin/config", "plugin/server", "plugin/server/keeper"},
	},
	{
		name: "spec/compose",
	},
	{
		name: "spec/bench",
		ours: []string{"kong/wire", "plugin/server", "plugin/server/keeper", "plugin/split", "spec/bench/chaos", "spec/bench/gateway"},
	},
	{
		name:  "spec/bench/kong",
		never: map[string]string{"kong-traffic-split/plugin/...": "Kong is started as a user starts it"},
	},
	{
		name:  "spec/bench/gateway",
		ours:  []string{"kong/wire", "spec/bench/kong"},
		never: map[string]string{"kong-traffic-split/plugin/...": "what is measured is the executable that a user has"},
	},
	{
		name:  "spec/bench/chaos",
		ours:  []string{"kong/companion", "kong/wire", "spec/bench/kong"},
		never: map[string]string{"kong-traffic-split/plugin/...": "faults happen to the executable that a user has"},
	},
}

func TestHouse(t *testing.T) {
	packages := list(t, module+"/...")
	for _, r := range house {
		t.Run(r.name, func(t *testing.T) {
			p, ok := packages[path.Join(module, r.name)]
			if !ok {
				t.Fatal("there is no such package: take it out of the table, or give it its new name")
			}
			r.checkImports(t, "imports", p.Imports, r.ours)
			// a test beside the package may import it
			r.checkImports(t, "a test imports", append(p.TestImports, p.XTestImports...), slices.Concat(r.ours, r.tests, []string{r.name}))
			for pattern, why := range r.never {
				for dep := range reached(packages, p) {
					if matches(pattern, dep) {
						t.Errorf("reaches %s: %s", dep, why)
					}
				}
			}
			for pattern, why := range r.neverItself {
				for _, imported := range p.Imports {
					if matches(pattern, imported) {
						t.Errorf("imports %s: %s", imported, why)
					}
				}
			}
		})
	}
}

func (r room) checkImports(t *testing.T, verb string, imports, allowed []string) {
	t.Helper()
	for _, imported := range imports {
		own, isOurs := strings.CutPrefix(imported, module+"/")
		if isOurs && !slices.Contains(allowed, own) {
			t.Errorf("%s %s; it may import only %q of ours", verb, own, allowed)
		}
	}
}

// TestHouseNamesWhatIsThere: a rule about a package that is gone, or was
// renamed, holds nothing back.
func TestHouseNamesWhatIsThere(t *testing.T) {
	known := list(t, "-deps", "-test", module+"/...", "std")
	for _, r := range house {
		for _, own := range slices.Concat(r.ours, r.tests) {
			if _, ok := known[path.Join(module, own)]; !ok {
				t.Errorf("%s may import %s, which does not exist", r.name, own)
			}
		}
		for _, bans := range []map[string]string{r.never, r.neverItself} {
			for pattern := range bans {
				if !anyMatch(known, pattern) {
					t.Errorf("%s must not reach %s, which does not exist", r.name, pattern)
				}
			}
		}
	}
}

func anyMatch(packages map[string]listed, pattern string) bool {
	for importPath := range packages {
		if matches(pattern, importPath) {
			return true
		}
	}
	return false
}

// TestOnlyTheBenchUsesTheStockServer: plugin/server takes its place.
func TestOnlyTheBenchUsesTheStockServer(t *testing.T) {
	const stock, bench = pdk + "/server", module + "/spec/bench"
	packages := list(t, module+"/...")
	for importPath, p := range packages {
		if slices.Contains(slices.Concat(p.Imports, p.TestImports, p.XTestImports), stock) && importPath != bench {
			t.Errorf("%s imports go-pdk's server", importPath)
		}
	}
	if !slices.Contains(packages[bench].Imports, stock) {
		t.Errorf("%s does not import %s: nobody needs this rule", bench, stock)
	}
}

// TestHouseIsWhole fails for a package that nobody gave rules to.
func TestHouseIsWhole(t *testing.T) {
	for importPath := range list(t, module+"/...") {
		name := strings.TrimPrefix(importPath, module+"/")
		if !slices.ContainsFunc(house, func(r room) bool { return r.name == name }) {
			t.Errorf("%s has no rules in the table", name)
		}
	}
}

// TestHouseIsDocumented: the table in CONTRIBUTING.md has the same rooms with the
// same imports.
func TestHouseIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| imports of ours |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\|(.*)\\|$").FindAllStringSubmatch(table, -1) {
		imports := []string{}
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			imports = append(imports, quoted[1])
		}
		documented[row[1]] = imports
	}
	for _, r := range house {
		imports, ok := documented[r.name]
		want := r.ours
		if r.name == "spec" { // nothing but tests
			want = r.tests
		}
		slices.Sort(imports)
		if want := slices.Sorted(slices.Values(want)); !ok || !slices.Equal(imports, want) {
			t.Errorf("CONTRIBUTING.md has %q for %s, want %q", imports, r.name, want)
		}
		delete(documented, r.name)
	}
	for name := range documented {
		if _, err := os.Stat(filepath.Join("..", name, "go.mod")); err == nil {
			continue // a module of its own
		}
		t.Errorf("CONTRIBUTING.md has the room %s, for which there are no rules", name)
	}
}

// reached is what p imports itself, through our own packages, and of other
// modules through anything.
func reached(packages map[string]listed, p listed) map[string]bool {
	found := map[string]bool{}
	for _, dep := range append(slices.Clone(p.Deps), p.ImportPath) {
		if own, ours := packages[dep]; ours {
			for _, imported := range own.Imports {
				found[imported] = true
			}
		} else if domain, _, _ := strings.Cut(dep, "/"); strings.Contains(domain, ".") {
			found[dep] = true
		}
	}
	return found
}

type listed struct {
	ImportPath                               string
	Imports, TestImports, XTestImports, Deps []string
	Dir                                      string
	GoFiles                                  []string
	Module                                   *struct {
		Main  bool
		GoMod string
	}
}

// list lists packages. It looks at the files of those that are ours: the go
// command repeats an earlier result of a test unless something has changed that
// the test itself has looked at, and it does not know what go list reads.
func list(t *testing.T, args ...string) map[string]listed {
	t.Helper()
	args = append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps,Dir,GoFiles,Module"}, args...)
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
			p.visit(t)
		}
	}
}

// visit looks at a package's files, and at where one beside it would be.
func (p listed) visit(t *testing.T) {
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
