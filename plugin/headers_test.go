package plugin_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
)

// What a split makes of headers is the same whether it asks for one of them or for all,
// and where there are more than Kong tells at once.
func TestHeadersAreTheSameHoweverTheyAreAskedFor(t *testing.T) {
	const backends = `"backends":[{"host":"10.0.0.1","name":"a","host_header":"preserve"},{"host":"10.0.0.2","name":"b","host_header":"preserve","weight":0}]`
	rule := func(match string) string { return `{"match":{` + match + `},"backend":"b"}` }
	const never = `"headers":{"X-Never":["1"],"X-Nor":["1"],"X-Neither":["1"]}`
	byHeader, byCookie := rule(`"headers":{"X_Tier":["gold, silver"]}`), rule(`"cookies":{"beta":["2"]}`)
	for _, tt := range []struct {
		name, rule string
		headers    map[string]string
		cookies    string
	}{
		{"nothing", byHeader, nil, ""},
		{"a header", byHeader, map[string]string{"X-Tier": "gold, silver"}, ""},
		{"another value", byHeader, map[string]string{"X-Tier": "gold"}, ""},
		{"an empty one", byHeader, map[string]string{"X-Tier": ""}, ""},
		{"bytes that are not UTF-8 beside it", byHeader, map[string]string{"X-Tier": "gold, silver", "X-Raw": "\xff\xfe"}, "\xe4=1"},
		{"cookies", byCookie, nil, "alpha=1; beta=2"},
		{"another cookie", byCookie, nil, "alpha=2; beta=1"},
	} {
		var want []string
		for _, ask := range []struct {
			config string
			junk   int
		}{
			{`"rules":[` + tt.rule + `],`, 0},
			{`"rules":[` + tt.rule + `,` + rule(never) + `],`, 0},
			{`"rules":[` + tt.rule + `,` + rule(never) + `],`, 900},
			{`"rules":[` + tt.rule + `,` + rule(never) + `],`, 999},
			{`"rules":[` + tt.rule + `,` + rule(never) + `],`, 5000},
		} {
			i := start(t, plugin.New(options), onRoute+ask.config+backends)
			k := web()
			k.headers, k.text["cookies"], k.junk = map[string]string{}, tt.cookies, ask.junk
			for name, value := range tt.headers {
				k.headers[name] = value
			}
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = k.told
			}
			if diff := cmp.Diff(want, k.told); diff != "" {
				t.Errorf("%s, with %d headers: (-one by one +all at once)\n%s", tt.name, ask.junk, diff)
			}
		}
	}
}

// To nginx _ in the name of a header is as good as -; of two headers that differ in
// that, Kong prefers the one with -.
func TestHeadersWithUnderscores(t *testing.T) {
	const rules = `"rules":[{"match":{"headers":{"X_Tier":["silver"]}},"backend":"b"},{"match":{"headers":{"X-Tier":["gold"],"X-User":["ann"]}},"backend":"c"}],` +
		`"backends":[{"host":"10.0.0.1","name":"a"},{"host":"10.0.0.2","name":"b","weight":0},{"host":"10.0.0.3","name":"c","weight":0}]`
	i := start(t, plugin.New(options), onRoute+rules)
	for _, tt := range []struct {
		headers map[string]string
		want    string
	}{
		{map[string]string{"x-tier": "silver"}, "10.0.0.2 80"},
		{map[string]string{"x_tier": "silver"}, "10.0.0.2 80"},
		{map[string]string{"x-tier": "gold", "x-user": "ann"}, "10.0.0.3 80"},
		{map[string]string{"x_tier": "gold", "x_user": "ann"}, "10.0.0.3 80"},
		{map[string]string{"x-tier": "gold", "x_tier": "silver", "x-user": "ann"}, "10.0.0.3 80"},
		{map[string]string{"x-tier": "silver", "x_tier": "gold", "x-user": "ann"}, "10.0.0.2 80"},
	} {
		for range 8 { // the reply has them in any order
			k := web()
			k.headers = tt.headers
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			if k.told[0] != "service.set_target "+tt.want {
				t.Errorf("%v: told %q, want %s", tt.headers, k.told, tt.want)
			}
		}
	}
}

// A CORS preflight is known by its method, which is asked for only where the headers
// are those of one.
func TestPreflightIsAskedForByItsHeaders(t *testing.T) {
	cors := map[string]string{"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
	for _, tt := range []struct {
		headers map[string]string
		method  string
		asked   []string
		pins    bool
	}{
		{nil, "OPTIONS", nil, true},
		{map[string]string{"Origin": "https://app.example"}, "PUT", nil, true},
		{map[string]string{"Access-Control-Request-Method": "PUT"}, "OPTIONS", []string{"header Origin", "request.get_method"}, true},
		{cors, "PUT", []string{"header Origin", "request.get_method"}, true},
		{cors, "OPTIONS", []string{"header Origin", "request.get_method"}, false},
	} {
		const session = `"session":{"secret":"sixteen letters!","secure":"never"},`
		const manyHeaders = `"force_header":"X-Force","rules":[{"match":{"headers":{"X-Beta":["1"]}},"backend":"own"}],`
		for _, many := range []string{"", manyHeaders} {
			i := start(t, plugin.New(options), onRoute+many+session+own)
			k := web()
			k.headers, k.text["request.get_method"] = maps.Clone(tt.headers), tt.method
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			want := append([]string{"http_cookie", "header Access-Control-Request-Method"}, tt.asked...)
			if many != "" {
				want = []string{"request.get_headers"}
				if tt.asked != nil {
					want = append(want, "request.get_method")
				}
			}
			if diff := cmp.Diff(want, k.asked); diff != "" {
				t.Errorf("%s with %v is asked for (-want +got):\n%s", tt.method, tt.headers, diff)
			}
			pins := slices.ContainsFunc(k.told, func(call string) bool { return strings.HasPrefix(call, "response.add_header Set-Cookie") })
			if pins != tt.pins {
				t.Errorf("%s with %v: told %q", tt.method, tt.headers, k.told)
			}
		}
	}
}
