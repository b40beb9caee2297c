package plugin_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/split"
)

// ab are two backends that nothing has to be known for; b has no weight.
const ab = `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b","weight":0}]`

// What Kong says of a request decides about it.
func TestFacts(t *testing.T) {
	rule := func(match string) string {
		return `"rules":[{"match":{` + match + `},"backend":"b"}],` + ab
	}
	tests := []struct {
		name, config string
		kong         func(*kong)
	}{
		{"method", rule(`"methods":["PUT"]`), func(k *kong) { k.text["request.get_method"] = "PUT" }},
		{"path", rule(`"path_prefix":"/v2"`), func(k *kong) { k.text["request.get_path"] = "/v2/cart" }},
		{"query", rule(`"query_args":{"v":["2"]}`), func(k *kong) { k.text["request.get_raw_query"] = "flag&\xff&v=2" }},
		{"cookie", rule(`"cookies":{"beta":["1"]}`), func(k *kong) { k.text["cookies"] = "x=\xff; beta=1" }},
		{"header", rule(`"headers":{"X-Beta":["~^\\W$"]}`), func(k *kong) { k.headers = map[string]string{"X-Beta": "\xff"} }},
		{"consumer", rule(`"consumers":["ann"]`), func(k *kong) { k.consumer = &kong_plugin_protocol.Consumer{Username: "ann"} }},
		{"address", rule(`"client_ips":["10.1.0.0/16"]`), func(k *kong) { k.text["client.get_forwarded_ip"] = "10.1.2.3" }},
		{"forced", `"force_header":"X-Force",` + ab, func(k *kong) { k.headers = map[string]string{"X-Force": "b"} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := start(t, plugin.New(options), onRoute+tt.config)
			k := web()
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			with := web()
			tt.kong(with)
			if err := with.access(t, i); err != nil {
				t.Fatal(err)
			}
			got := []string{k.told[0], with.told[0]}
			if diff := cmp.Diff([]string{"service.set_target 10.0.0.1 80", "service.set_target 10.0.0.2 80"}, got); diff != "" {
				t.Errorf("without and with it (-want +got):\n%s", diff)
			}
		})
	}
}

// A capture of the route and the client's address are keys.
func TestKeys(t *testing.T) {
	even := `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b"}]`
	for name, tt := range map[string]struct {
		config string
		give   func(k *kong, key string)
		keys   []string
	}{
		"capture": {`"hash_on":"uri_capture","hash_on_uri_capture":"user",` + even, func(k *kong, key string) { k.captures = map[string]string{"user": key} }, []string{"user-1", "user-2"}},
		"address": {`"hash_on":"ip",` + even, func(k *kong, key string) { k.text["client.get_forwarded_ip"] = key }, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}},
	} {
		i := start(t, plugin.New(options), onRoute+tt.config)
		got := map[string]bool{}
		for _, key := range tt.keys {
			var first string
			for range 3 {
				k := web()
				tt.give(k, key)
				if err := k.access(t, i); err != nil {
					t.Fatal(err)
				}
				if first == "" {
					first = k.told[0]
				}
				if k.told[0] != first {
					t.Errorf("%s %s: %s, and then %s", name, key, first, k.told[0])
				}
			}
			got[first] = true
		}
		if len(got) != 2 {
			t.Errorf("%s: all keys go to one of two backends", name)
		}
	}
}

var setCookie = regexp.MustCompile(`^response\.add_header Set-Cookie=(traffic_split_[0-9a-f]{8}=[\w-]+)(; .*)$`)

func TestSessions(t *testing.T) {
	even := `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b"}]`
	i := start(t, plugin.New(options), onRoute+`"session":{"secret":"sixteen letters!"},`+even)
	visit := func(k *kong) (cookie, attributes string) {
		t.Helper()
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		for _, call := range k.told {
			if set := setCookie.FindStringSubmatch(call); set != nil {
				return set[1], set[2]
			}
		}
		return "", ""
	}
	first := web()
	cookie, attributes := visit(first)
	if cookie == "" || attributes != "; Path=/; HttpOnly; SameSite=Lax" {
		t.Fatalf("the first answer sets %q%q", cookie, attributes)
	}
	for range 4 {
		again := web()
		again.text["cookies"] = "x=\xff; " + cookie
		if set, _ := visit(again); set != "" || again.told[0] != first.told[0] {
			t.Errorf("with its cookie a client gets %s and the cookie %q", again.told[0], set)
		}
	}
	secure := web()
	secure.text["request.get_forwarded_scheme"] = "https"
	if _, attributes := visit(secure); attributes != "; Path=/; Secure; HttpOnly; SameSite=Lax" {
		t.Errorf("by https it is set with %q", attributes)
	}
}

// What becomes of a request is watched where it matters; where it does not, it
// costs nothing.
func TestMarks(t *testing.T) {
	tests := []struct {
		name, config string
		mark         string
	}{
		{name: "nothing depends on it", config: ab},
		{name: "a ramp without a guard", config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1},` + ab},
		{name: "a guard", config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1,"guard":{"max_error_ratio":0.1}},` + ab, mark: `^ctx\.shared\.set traffic_split=/0{16}/a$`},
		{name: "passive health checks", config: `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a","health":{"passive":{}}}]`, mark: `^ctx\.shared\.set traffic_split=/[0-9a-f]{8}0{8}/a$`},
		{
			name: "the backend of a guarded ramp", mark: `^ctx\.shared\.set traffic_split=/0{8}[0-9a-f]{8}/a$`,
			config: `"ramp":{"backend":"a","start":"2026-01-31T18:00:00Z","duration":60,"to":50,"guard":{"max_error_ratio":0.1}},"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b"}]`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := start(t, plugin.New(options), onRoute+tt.config)
			k := web()
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(k.told, func(call string) bool { return strings.HasPrefix(call, "ctx.") })
			if tt.mark == "" && at >= 0 || tt.mark != "" && (at < 0 || !regexp.MustCompile(tt.mark).MatchString(k.told[at])) {
				t.Errorf("told %q, want the mark %q", k.told, tt.mark)
			}
			k.asked = nil
			reads := i.Reads("log")
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
			if len(k.asked) != len(reads) || (len(reads) > 0) != (tt.mark != "") {
				t.Errorf("the log phase asks for %q, and %d are listed", k.asked, len(reads))
			}
		})
	}
}

// outcome runs the log phase of a request that was given to b.
func outcome(t *testing.T, i *plugin.Instance, source string, status int32) []string {
	t.Helper()
	k := web()
	k.text["response.get_source"], k.status = source, status
	k.shared = map[string]string{"traffic_split": i.MarkFor("b")}
	if err := k.run(t, "log", i); err != nil {
		t.Fatal(err)
	}
	return k.told
}

const watched = `"backends":[{"name":"b","host":"10.0.0.2","host_header":"b","health":{"passive":{"failures":2}}}]`

func TestOutcomes(t *testing.T) {
	const fails, well, nothing = "fails", "is well", "says nothing"
	for _, tt := range []struct {
		source string
		status int32
		want   string
	}{
		{"service", 200, well},
		{"service", 404, well},
		{"service", 500, fails},
		{"service", 503, fails},
		{"service", 499, nothing},
		{"error", 502, fails},
		{"error", 504, fails},
		{"error", 500, nothing},
		{"error", 499, nothing},
		{"exit", 503, fails}, // Kong found no address
		{"exit", 500, nothing},
		{"exit", 401, nothing},
	} {
		// Two failures in a row eject: after one, this one does where it fails,
		// and the next one does where it says nothing.
		i := start(t, plugin.New(options), onRoute+watched)
		outcome(t, i, "service", 500)
		got := well
		if outcome(t, i, tt.source, tt.status) != nil {
			got = fails
		} else if outcome(t, i, "service", 500) != nil {
			got = nothing
		}
		if got != tt.want {
			t.Errorf("%s %d %s, want: %s", tt.source, tt.status, got, tt.want)
		}
	}
}

func TestEjected(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+watched)
	outcome(t, i, "service", 500)
	told := outcome(t, i, "service", 500)
	said := regexp.MustCompile(`^log\.warn \[traffic-split\] split "p1": "b" is ejected until \S+Z: 2 requests in a row failed$`)
	if len(told) != 1 || !said.MatchString(told[0]) {
		t.Errorf("Kong is told %q", told)
	}
	var refusal interface{ Status() int }
	if err := web().access(t, i); !errors.As(err, &refusal) || refusal.Status() != 503 {
		t.Errorf("the next request: %v, want a refusal with 503", err)
	}
}

// A request that no backend of ours has got says nothing.
func TestOutcomesOfOthers(t *testing.T) {
	i := start(t, plugin.New(options), onRoute+watched)
	for _, shared := range []map[string]string{nil, {"traffic_split": "nonsense"}, {"traffic_split": plugin.Mark("", split.Subject{}, "gone")}, {"traffic_split": plugin.Mark("", split.Subject{}, "b")}, {"traffic_split": "/b"}} {
		for range 3 {
			k := web()
			k.shared, k.status = shared, 500
			k.text["response.get_source"] = "service"
			if err := k.run(t, "log", i); err != nil || k.told != nil {
				t.Errorf("with %v: %v, %q", shared, err, k.told)
			}
		}
	}
}
