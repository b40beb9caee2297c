package httproute_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
	gateway "sigs.k8s.io/gateway-api/apis/v1"

	"kong-traffic-split/kong/httproute"
)

// kicSplits are a split file, as far as weights are concerned.
type kicSplits struct {
	Splits map[string]struct {
		Backends []struct {
			Host, Upstream string
			Port           int
			Weight         *int
			Redirect       map[string]any
		}
	}
}

// TestSharesForTheIngressController: for each match, which is a route of the controller's, the
// split file has the shares of the rule; or a field is named that stands in the way.
func TestSharesForTheIngressController(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWorld(t, taste{letters: true, filters: true, many: true})
		manifests := w.manifests()
		options := httproute.Options{To: httproute.KIC, Partial: true, SessionSecret: strings.Repeat("secret", 4)}
		out, problems := httproute.Convert([]httproute.Source{{Name: "x.yaml", Data: []byte(manifests)}}, options)
		for _, p := range problems {
			if p.Path == "" || p.Line < 1 || p.Document < 1 {
				t.Fatalf("a problem without a place: %v", p)
			}
			if strings.Contains(p.Message, "no listener of the Gateway") || strings.Contains(p.Message, "which is not made here") ||
				strings.Contains(p.Message, "the rule's own filters replace the path already") {
				return
			}
		}
		if out == nil {
			t.Fatalf("%v\n%s", problems, manifests)
		}
		var splits kicSplits
		if err := yaml.Unmarshal(out.Splits, &splits); err != nil {
			t.Fatal(err)
		}
		for _, r := range w.routes {
			for i, rule := range r.Spec.Rules {
				isRedirect := func(f gateway.HTTPRouteFilter) bool { return f.RequestRedirect != nil }
				if slices.ContainsFunc(rule.Filters, isRedirect) { // which the controller does
					continue
				}
				want := map[string]int{}
				for _, ref := range rule.BackendRefs {
					weight := 1
					if ref.Weight != nil {
						weight = int(*ref.Weight)
					}
					to := "nowhere"
					if service, ok := w.service(ref); ok {
						namespace, name, _ := strings.Cut(service, "/")
						name, port, _ := strings.Cut(name, ":")
						to = name + "." + namespace + ".svc.cluster.local:" + port
						if slices.ContainsFunc(ref.Filters, isRedirect) {
							to = "elsewhere"
						}
					}
					want[to] += weight
				}
				if len(rule.BackendRefs) == 0 {
					want["nowhere"] = 1
				}
				for j := range max(len(rule.Matches), 1) {
					name := fmt.Sprintf("httproute.default.%s.%d.%d", r.Name, i, j)
					got := map[string]int{}
					for _, b := range splits.Splits[name].Backends {
						to, weight := "nowhere", 1
						if b.Host != "" {
							to = fmt.Sprintf("%s:%d", b.Host, b.Port)
						}
						if b.Redirect != nil {
							to = "elsewhere"
						}
						if b.Weight != nil {
							weight = *b.Weight
						}
						got[to] += weight
					}
					if !maps.Equal(got, want) {
						t.Fatalf("%s: %v, and not %v\n%s\n%s", name, got, want, manifests, out.Splits)
					}
				}
			}
		}
	})
}
