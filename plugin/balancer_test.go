package plugin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"kong-traffic-split/plugin"
)

// balancerTable is balancer_data as Kong has it for a Service before a plugin has told it
// anything, with changes; nil of a value: it is not there.
func balancerTable(changes map[string]any) map[string]any {
	table := map[string]any{
		"scheme": "http", "type": "ipv4", "host": "10.0.0.7", "port": 8000.0, "try_count": 0.0, "tries": map[string]any{},
		"retries": 5.0, "connect_timeout": 60000.0, "send_timeout": 60000.0, "read_timeout": 60000.0,
	}
	for name, value := range changes {
		if table[name] = value; value == nil {
			delete(table, name)
		}
	}
	return table
}

// balancerText is the same as what Kong is told.
func balancerText(changes map[string]any) string {
	text, _ := json.Marshal(balancerTable(changes))
	return string(text)
}

// balancer has k know it.
func (k *kong) balancer(changes map[string]any) {
	v, err := structpb.NewValue(balancerTable(changes))
	if err != nil {
		panic(err)
	}
	k.ctx = map[string]*structpb.Value{"balancer_data": v}
}

// What Kong is told of a backend that a request goes to.
func TestOverrides(t *testing.T) {
	const service = `{"service":true`
	set := func(changes map[string]any) string { return "nginx.set_ctx balancer_data=" + balancerText(changes) }
	own := map[string]any{"connect_timeout": 250.0, "send_timeout": 2000.0, "read_timeout": 1001.0, "retries": 0.0}
	const limits = `"timeouts":{"connect":0.25,"write":2,"read":1.001},"retries":0}`
	to := func(host any, more map[string]any) map[string]any {
		all := map[string]any{"type": "name", "host": host}
		maps.Copy(all, more)
		return all
	}
	port := func(n float64) map[string]any { return map[string]any{"port": n} }
	with := func(a, b map[string]any) map[string]any {
		both := maps.Clone(a)
		maps.Copy(both, b)
		return both
	}
	for _, tt := range []struct {
		name, backend string
		ip            bool           // the Service's host is one
		table         map[string]any // what is another in what Kong has
		want          []string
	}{
		{"nothing of its own", service + `}`, true, nil, nil},
		{"limits of the Service", service + `,` + limits, false, nil, []string{set(own)}},
		{"one of them", service + `,"retries":32767}`, true, nil, []string{set(map[string]any{"retries": 32767.0})}},
		{"what a plugin in front has set stays", service + `,"timeouts":{"read":3}}`, false, map[string]any{"retries": 1.0, "hash_value": "h"}, []string{set(map[string]any{"read_timeout": 3000.0, "retries": 1.0, "hash_value": "h"})}},
		{"a name on a Service with a name", `{"host":"a.internal","host_header":"a"}`, false, nil, []string{"service.set_target a.internal 80", "service.request.set_header Host=a"}},
		{"a name on a Service with an address", `{"host":"a.internal","port":8080}`, true, nil, []string{set(to("a.internal", port(8080)))}},
		{"with a Host of its own", `{"host":"a.internal","host_header":"a.internal"}`, true, nil, []string{set(to("a.internal", port(80))), "service.request.set_header Host=a.internal"}},
		{"an address on a Service with an address", `{"host":"10.0.0.8","host_header":"a"}`, true, nil, []string{"service.set_target 10.0.0.8 80", "service.request.set_header Host=a"}},
		{"with limits", `{"host":"10.0.0.8",` + limits, true, nil, []string{set(with(own, to("10.0.0.8", port(80))))}},
		{"an IPv6 address with limits", `{"host":"::1","port":81,` + limits, false, nil, []string{set(with(own, to("[::1]", port(81))))}},
		{"an Upstream on a Service with an address", `{"upstream":"up"}`, true, nil, []string{"service.set_upstream up", set(to("up", nil))}},
		{"with limits and a Host", `{"upstream":"up","host_header":"h",` + limits, false, nil, []string{"service.set_upstream up", set(with(own, to("up", nil))), "service.request.set_header Host=h"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := start(t, plugin.New(options), onRoute+`"backends":[`+tt.backend+`]`)
			for range 2 { // the second one by what is kept of the first
				k := web()
				k.upstreams = []string{"up"}
				k.balancer(tt.table)
				if tt.ip {
					k.service["host"] = "10.0.0.7"
				}
				if err := k.access(t, i); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, k.told); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A request to one backend gets nothing of another one's limits: not where an Upstream of
// that is only asked for, nor where it has taken the request's place.
func TestOverridesAreOfOneBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := start(t, plugin.New(options), onRoute+`"on_unavailable":"redistribute","force_header":"X-Force","backends":[`+
			`{"upstream":"up","retries":0},{"name":"b","host":"10.0.0.1","host_header":"b"},{"service":true,"timeouts":{"read":1}}]`)
		ofService := "nginx.set_ctx balancer_data=" + balancerText(map[string]any{"read_timeout": 1000.0})
		toB := []string{"service.set_target 10.0.0.1 80", "service.request.set_header Host=b"}
		for n, at := range []struct {
			force     string
			upstreams []string
			want      []string
		}{
			{"up", nil, append([]string{"service.set_upstream up"}, toB...)},
			{"b", []string{"up"}, append([]string{"service.set_upstream up"}, toB...)}, // it is asked for again
			{"service", []string{"up"}, []string{ofService}},
			{"up", []string{"up"}, []string{"service.set_upstream up", "nginx.set_ctx balancer_data=" + balancerText(map[string]any{"type": "name", "host": "up", "retries": 0.0})}},
			{"up", nil, []string{"service.set_upstream up", ofService}},
		} {
			k := web()
			k.upstreams, k.headers = at.upstreams, map[string]string{"X-Force": at.force}
			k.balancer(nil)
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(at.want, k.told); diff != "" {
				t.Errorf("request %d: told (-want +got):\n%s", n, diff)
			}
			time.Sleep(time.Second)
		}
	})
}

// Whatever else Kong has in the table is written back as it was.
func TestOverridesKeepTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		more := rapid.MapOfN(rapid.StringMatching(`x[a-z]{0,9}`), rapid.OneOf(
			rapid.Map(rapid.Float64Range(-1e9, 1e9), func(n float64) any { return n }),
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Just[any](map[string]any{"a": []any{1.0, "b"}}),
			rapid.Just[any](true),
		), 0, 5).Draw(t, "more")
		read := rapid.IntRange(1, 2147483646).Draw(t, "read")
		retries := rapid.IntRange(0, 32767).Draw(t, "retries")
		i := start(t, plugin.New(options), onRoute+fmt.Sprintf(`"backends":[{"service":true,"timeouts":{"read":%d.%03d},"retries":%d}]`, read/1000, read%1000, retries))
		k := web()
		k.balancer(more)
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		want := maps.Clone(more)
		want["read_timeout"], want["retries"] = float64(read), float64(retries)
		if told := []string{"nginx.set_ctx balancer_data=" + balancerText(want)}; !slices.Equal(k.told, told) {
			t.Errorf("told %q, want %q", k.told, told)
		}
	})
}
