package doctor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"kong-traffic-split/kong/admin"
)

// namers are those who name each Upstream.
type namers map[string][]string

func (n namers) add(upstream, who string) {
	if upstream != "" && !slices.Contains(n[upstream], who) {
		n[upstream] = append(n[upstream], who)
	}
}

// namedByRows returns the Upstreams that the backends of rows name.
func (k *kongFacts) namedByRows() namers {
	all := namers{}
	for _, r := range k.rows {
		if r.config == nil {
			continue
		}
		for _, b := range r.config.Backends {
			all.add(b.Upstream, r.name())
		}
	}
	return all
}

func (f *facts) gatherUpstreams(ctx context.Context, client *admin.Client) {
	k := f.kong
	k.upstreams, k.unknown = map[string][]admin.Health{}, map[string]error{}
	names := k.namedByRows()
	maps.Copy(names, f.namedInFiles())
	for _, name := range slices.Sorted(maps.Keys(names)) {
		health, err := client.UpstreamHealth(ctx, name)
		switch {
		case errors.Is(err, admin.ErrNoUpstream):
			k.upstreams[name] = nil
		case err != nil:
			k.unknown[name] = err
		default:
			k.upstreams[name] = append([]admin.Health{}, health...)
		}
	}
}

func checkUpstreams(f *facts, found report) { f.kong.checkNamed(f.kong.namedByRows(), found) }

// checkNamed looks at the Upstreams that somebody names.
func (k *kongFacts) checkNamed(named namers, found report) {
	for _, name := range slices.Sorted(maps.Keys(named)) {
		by := strings.Join(named[name], ", ")
		targets, known := k.upstreams[name]
		switch {
		case !known:
			found(Warning, "ask Kong: GET /upstreams/"+name+"/health", "the health of the Upstream %s, which %s names, is not known: %v", name, by, k.unknown[name])
		case targets == nil:
			found(Error, "create the Upstream with its targets, or write its name as it is; until then its share is what on_unavailable says, 500 by default", "there is no Upstream %s, which %s names", name, by)
		case !slices.ContainsFunc(targets, usable):
			found(Error, "look at its targets: GET /upstreams/"+name+"/health", "the Upstream %s, which %s names, has no target that is healthy: Kong answers its share with 503", name, by)
		}
	}
}

// usable reports whether a target gets requests.
func usable(h admin.Health) bool {
	return h.Weight > 0 && (h.Health == "HEALTHY" || h.Health == "HEALTHCHECKS_OFF")
}
