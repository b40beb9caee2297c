package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFromKong(t *testing.T) {
	tests := []struct {
		name, text string
		want       Config
	}{
		{
			name: "nothing but what Kong adds",
			text: `{"__plugin_id":"5a","__key__":"plugins:traffic-split:","__ws_id":"0d","__seq__":7,"route_id":"a1","service_id":"b2","consumer_id":"c3","plugin_instance_name":"x","$refs":{"a":"{vault://env/a}"}}`,
			want: Config{Algorithm: "smooth", OnUnavailable: "fail"},
		},
		{
			name: "null is absent",
			text: `{"backends":[{"host":"a","name":null,"port":null,"weight":null,"path":null,"request_headers":null}],"algorithm":null,"split":null,"log_decision":null}`,
			want: Config{
				Backends:  []Backend{{Name: "a:80", Host: "a", Port: 80, Weight: 1}},
				Algorithm: "smooth", OnUnavailable: "fail",
			},
		},
		{
			name: "a split from a file",
			text: `{"split":"shop-größe.v1_2~"}`,
			want: Config{Algorithm: "smooth", OnUnavailable: "fail", Split: "shop-größe.v1_2~"},
		},
		{
			name: "defaults of a backend",
			text: `{"backends":[
				{"host":"example.com."},
				{"host":"example.com","protocol":"https"},
				{"host":"example.com","protocol":"https","port":8443},
				{"host":"10.0.0.1","port":8080},
				{"host":"::1"},
				{"host":"my_service-1"},
				{"upstream":"blue.v1_2","protocol":"http"}]}`,
			want: Config{
				Backends: []Backend{
					{Name: "example.com.:80", Host: "example.com.", Port: 80, Weight: 1},
					{Name: "example.com:443", Host: "example.com", Port: 443, Weight: 1, Protocol: "https"},
					{Name: "example.com:8443", Host: "example.com", Port: 8443, Weight: 1, Protocol: "https"},
					{Name: "10.0.0.1:8080", Host: "10.0.0.1", Port: 8080, Weight: 1},
					{Name: "[::1]:80", Host: "::1", Port: 80, Weight: 1},
					{Name: "my_service-1:80", Host: "my_service-1", Port: 80, Weight: 1},
					{Name: "blue.v1_2", Upstream: "blue.v1_2", Weight: 1, Protocol: "http"},
				},
				Algorithm: "smooth", OnUnavailable: "fail",
			},
		},
		{
			name: "everything",
			text: `{"backends":[{"name":"v1","host":"a","port":1,"weight":0,"protocol":"http","path":"/v1/%41/","host_header":"preserve",
				"request_headers":{"set":{"X-A":"ä b"},"add":{"x-a":"2"},"remove":["X-B","x-c"]},"response_headers":{"add":{"Host":"c"}}},
				{"upstream":"b","weight":1000000,"host_header":"b.example:8080"},{"upstream":"c","host_header":"[::1]:1"},{"upstream":"d","host_header":"[::1]"}],
				"algorithm":"random","on_unavailable":"fallback","fallback":"b","response_header":"X-Backend","log_decision":true}`,
			want: Config{
				Backends: []Backend{
					{
						Name: "v1", Host: "a", Port: 1, Protocol: "http", Path: "/v1/%41/", HostHeader: "preserve",
						RequestHeaders: RequestHeaders{
							Set:    map[string]string{"X-A": "ä b"},
							Add:    map[string]string{"x-a": "2"},
							Remove: []string{"X-B", "x-c"},
						},
						ResponseHeaders: ResponseHeaders{Add: map[string]string{"Host": "c"}},
					},
					{Name: "b", Upstream: "b", Weight: 1000000, HostHeader: "b.example:8080"},
					{Name: "c", Upstream: "c", Weight: 1, HostHeader: "[::1]:1"},
					{Name: "d", Upstream: "d", Weight: 1, HostHeader: "[::1]"},
				},
				Algorithm: "random", OnUnavailable: "fallback", Fallback: "b",
				ResponseHeader: "X-Backend", LogDecision: true,
			},
		},
		{
			name: "Lua's empty tables and numbers",
			text: `{"backends":[{"host":"a","weight":1e2,"port":3.0,"request_headers":{"set":[],"remove":{}},"response_headers":[]}]}`,
			want: Config{
				Backends:  []Backend{{Name: "a:3", Host: "a", Port: 3, Weight: 100}},
				Algorithm: "smooth", OnUnavailable: "fail",
			},
		},
		{
			name: "a fallback that is not read need not exist",
			text: `{"backends":[{"host":"a"}],"fallback":"v2"}`,
			want: Config{
				Backends:  []Backend{{Name: "a:80", Host: "a", Port: 80, Weight: 1}},
				Algorithm: "smooth", OnUnavailable: "fail", Fallback: "v2",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FromKong([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(unhashed(tt.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// unhashed is a configuration that says nothing of hashes.
func unhashed(c Config) *Config {
	c.HashOn, c.HashFallback = "none", "none"
	return &c
}

func TestWhatKongDoesNotSend(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", ``, `the configuration that Kong sent cannot be read: it is empty or ends in the middle`},
		{"half a text", `{"backends":[`, `the configuration that Kong sent cannot be read: it is empty or ends in the middle`},
		{"no JSON", `{"a" 1}`, `the configuration that Kong sent cannot be read: invalid character '1' after object key`},
		{"two values", `{} {}`, `the configuration that Kong sent cannot be read: there is more after its end`},
		{"deep nesting", strings.Repeat(`[`, 1e6), `the configuration that Kong sent cannot be read: it nests too deep`},
		{"deep records", strings.Repeat(`{"a":`, 1e5), `the configuration that Kong sent cannot be read: it nests too deep`},
		{"a value that is not UTF-8", "{\"backends\":[{\"host\":\"a\",\"name\":\"a\xff\"}]}", `backends[0].name: "a�" has bytes in it that are not UTF-8`},
		{"a key that is not UTF-8", "{\"a\xff\":\"x\"}", `["?"]: "a�" has bytes in it that are not UTF-8`},
		{"Kong's keys in a backend", `{"backends":[{"host":"a","route_id":"b","$refs":{}}]}`, `backends[0]: unknown key "route_id"; the keys here are name, service, upstream, host, port, redirect, weight, protocol, path, replace_prefix, replace_path, host_header, timeouts, retries, request_headers, response_headers, health, slow_start`},
		{"filled tables of the wrong kind", `{"backends":{"a":{}}}`, `backends: expected an array, not a map; for example [{host: a.example.com, weight: 9}, {host: b.example.com, weight: 1}]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := FromKong([]byte(tt.text))
			if err == nil || err.Error() != tt.want || c != nil {
				t.Errorf("got  %v, %v\nwant %s", c, err, tt.want)
			}
		})
	}
}

func TestParseDecimal(t *testing.T) {
	const huge = int(^uint(0) >> 1)
	tests := []struct {
		text     string
		decimals int
		want     int
		ok       bool
	}{
		{"1.5", 1, 15, true},
		{"1.5", 3, 1500, true},
		{"0.07", 2, 7, true},
		{"-0.07e1", 2, -70, true},
		{"7e-2", 2, 7, true},
		{"0.071", 2, 0, false},
		{"12345e-4", 3, 0, false},
		{"1e18", 3, huge, true},
		{"0", 0, 0, true},
		{"-0", 0, 0, true},
		{"7", 0, 7, true},
		{"-12", 0, -12, true},
		{"3.0", 0, 3, true},
		{"3.000", 0, 3, true},
		{"1e2", 0, 100, true},
		{"1E+2", 0, 100, true},
		{"12.5e1", 0, 125, true},
		{"100e-2", 0, 1, true},
		{"0.001e3", 0, 1, true},
		{"0e99999999999999999999", 0, 0, true},
		{"0.0e-5", 0, 0, true},
		{"1.5", 0, 0, false},
		{"1e-1", 0, 0, false},
		{"0.1", 0, 0, false},
		{"15e-1", 0, 0, false},
		{"1e-99999999999999999999", 0, 0, false},
		{"1e18", 0, 1e18, true},
		{"1e17", 0, 1e17, true},
		{"123456789012345678", 0, 123456789012345678, true},
		{"1e19", 0, huge, true},
		{"-1e19", 0, -huge - 1, true},
		{"1e99999999999999999999", 0, huge, true},
		{"99999999999999999999", 0, huge, true},
		{"0.08799999999999999", 3, 88, true},
		{"0.07000000000000001", 2, 7, true},
		{"-1.1499999999999999e1", 3, -11500, true},
		{"0.0879999999999", 3, 0, false}, // somebody has meant it
		{"0.12345678901234567", 3, 0, false},
		{"1.0000000000000001", 0, 0, false},
	}
	for _, tt := range tests {
		if got, ok := parseDecimal(tt.text, tt.decimals); got != tt.want || ok != tt.ok {
			t.Errorf("%s, %d decimals: got %d, %v; want %d, %v", tt.text, tt.decimals, got, ok, tt.want, tt.ok)
		}
	}
}

// What Kong makes of a number is the same number.
func TestParseDecimalOfKong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decimals := rapid.IntRange(1, 3).Draw(t, "decimals")
		want := rapid.IntRange(0, 31_536_000_000).Draw(t, "units")
		text := fmt.Sprintf("%.16g", float64(want)/math.Pow10(decimals)) // as cjson has it in Kong
		if got, ok := parseDecimal(text, decimals); got != want || !ok {
			t.Fatalf("%s, %d decimals: got %d, %v; want %d", text, decimals, got, ok, want)
		}
	})
}

func FuzzFromKong(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"backends":[],"backends":[{"host":"a"},{"host":"a"}]}`, `{"backends":[{"host":"a","weight":1e2},{"upstream":"b"}],"fallback":"b","on_unavailable":"fallback"}`,
		`{"backends":{},"split":"x","__seq__":3,"$refs":[]}`, "{\"split\":\"\xff\"}", `{"backends":[{"host":"::1","host_header":"[::1]:8"}]}`,
		`{"backends":[{"host":"a","path":"/%41","request_headers":{"set":{"a":"b"},"remove":["c"]}}]}`,
		withTwo(`"hash_on":"header","hash_on_header":"A","hash_fallback":"ip","force_header":"B"`),
		withTwo(inSession(`"previous_secret":"fedcba9876543210","max_age":6e1,"$refs":{"secret":"{vault://env/a}"}`)),
		withTwo(inMatch(`{"headers":{"A":["b","~^c+$"]},"methods":["GET"],"path_prefix":"/%c3%A9","client_ips":["::ffff:10.0.0.1","10.1.2.3/8"]}`)),
		withTwo(`"rules":[{"match":{"consumers":["a"],"query_args":{"b":["~"]}},"weights":{"v2":3}}]`),
		withTwo(inRamp(`"duration":0.5,"from":99.99,"to":1e-2,"guard":{"max_error_ratio":0.5}`)),
		withTwo(inHealth(`{"active":{"path":"","interval":2.50},"passive":{}}`)),
	} {
		f.Add([]byte(seed))
	}
	answer := kongAnswers(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := FromKong(text)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			if len(err.Error()) > 100_000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			return
		}
		checkInvariants(t, c)
		checkSaved(t, c, text)
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			return // a number that is too large, in what Kong adds
		}
		if wrong := answer(posted(value, true)); wrong != "" {
			t.Errorf("it is right, but Kong says %s", wrong)
		}
	})
}

// posted is a value without what Kong adds.
func posted(value any, top bool) any {
	switch v := value.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(key string, _ any) bool { return addedByKong(key, top) })
		for key := range v {
			v[key] = posted(v[key], false)
		}
	case []any:
		for i := range v {
			v[i] = posted(v[i], false)
		}
	}
	return value
}

// checkInvariants checks what everybody who gets a configuration relies on.
func checkInvariants(t *testing.T, c *Config) {
	t.Helper()
	if len(c.Backends) > 0 && c.Split != "" {
		t.Errorf("backends and split: %+v", c)
	}
	s := c.Compile("id")
	seen := map[string]bool{}
	if slices.ContainsFunc(c.Backends, func(b Backend) bool {
		return b.Service && slices.ContainsFunc(c.Backends, func(other Backend) bool { return other.Service && other.Name != b.Name })
	}) {
		t.Errorf("two backends are the route's own Service: %+v", c.Backends)
	}
	for i, b := range c.Backends {
		if b.Name == "" || seen[b.Name] {
			t.Errorf("backend %d is named %q", i, b.Name)
		}
		seen[b.Name] = true
		kinds := 0
		for _, is := range []bool{b.Service, b.Upstream != "", b.Host != "", b.Redirect != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 || (b.Host != "") != (b.Port > 0 && b.Port < 65536) {
			t.Errorf("backend %d: %+v", i, b)
		}
		if s.Backends[i].Name != b.Name || s.Backends[i].Weight != b.Weight || b.Weight < 0 || b.Weight > 1000000 {
			t.Errorf("backend %d became %s", i, s.Backends[i].Name+" "+strconv.Itoa(s.Backends[i].Weight))
		}
	}
	if len(c.Backends) == 0 {
		if c.NeedsHTTP() != "" {
			t.Errorf("%s are of a split file", c.NeedsHTTP())
		}
		return
	}
	if c.OnUnavailable == "fallback" && s.Backends[s.Fallback].Name != c.Fallback {
		t.Errorf("fallback is %d, want %s", s.Fallback, c.Fallback)
	}
	for i, r := range s.Rules {
		if named := c.Rules[i].Backend; named != "" && (s.Backends[r.Backend].Name != named || r.Weights != nil) {
			t.Errorf("rule %d became %+v", i, r)
		} else if named == "" && (len(r.Weights) != len(s.Backends) || slices.Max(r.Weights) == 0) {
			t.Errorf("rule %d became %+v", i, r)
		}
	}
	for _, k := range s.HashOn {
		if byName := slices.Contains(hashByName, string(k.On)); byName != (k.Name != "") {
			t.Errorf("the key is %+v", k)
		}
	}
	if r := s.Ramp; r != nil && (s.Backends[r.Backend].Name != c.Ramp.Backend || max(r.From, r.To) > 10_000 ||
		len(r.Plan) != len(c.Ramp.Plan) || len(r.Plan) == 0 == (r.From == r.To || r.Duration <= 0)) {
		t.Errorf("the ramp is %+v", r)
	}
	if s.Session != nil && (s.Session.Cookie == "" || len(s.Session.Secrets[0]) < 16) {
		t.Errorf("the session's cookie is %q, its secret %d bytes long", s.Session.Cookie, len(s.Session.Secrets[0]))
	}
}
