package splits

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheNamesOfKongRoutes compares the names of the splits with those of the Kong routes
// that Kong's ingress controller made: each that has the plugin has a split, but for that
// of the redirect, which Kong answers before.
func TestTheNamesOfKongRoutes(t *testing.T) {
	dir := filepath.Join("testdata", "ingress-controller")
	manifests, err := os.ReadFile(filepath.Join(dir, "manifests.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for flavor, expressions := range map[string]bool{"traditional": false, "expressions": true} {
		recorded, err := os.ReadFile(filepath.Join(dir, flavor+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		made := map[string]bool{}
		for _, r := range NewMaker(Options{Expressions: expressions, ClusterDomain: "cluster.local"}).Routes(read(t, string(manifests))) {
			for name := range r.Splits {
				made[name] = true
			}
		}
		for _, name := range strings.Fields(string(recorded)) {
			if redirects := strings.HasPrefix(name, "httproute.web.redirect.") && strings.HasSuffix(name, ".0.0"); made[name] == redirects {
				t.Errorf("flavor %s: the Kong route %s: there is a split: %t", flavor, name, made[name])
			}
			delete(made, name)
		}
		// Under expressions, each rule and match has a Kong route of its own.
		if expressions && len(made) > 0 {
			t.Errorf("there are splits without a Kong route: %v", made)
		}
	}
}
