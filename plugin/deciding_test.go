package plugin_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"

	"google.golang.org/protobuf/types/known/structpb"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
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
		"capture":                              {`"hash_on":"uri_capture","hash_on_uri_capture":"user",` + even, func(k *kong, key string) { k.captures = map[string]string{"user": key} }, []string{"user-1", "user-2"}},
		"consumer":                             {`"hash_on":"consumer",` + even, func(k *kong, key string) { k.consumer = &kong_plugin_protocol.Consumer{Id: key} }, []string{"user-1", "user-2"}},
		"credential":                           {`"hash_on":"consumer",` + even, func(k *kong, key string) { k.text["client.get_credential"] = key }, []string{"user-1\xff", "user-2\xff", "user-3\xff"}},
		"credential, where there is no header": {`"hash_on":"header","hash_on_header":"X-User","hash_fallback":"consumer","session":{"secret":"sixteen letters!"},` + even, func(k *kong, key string) { k.text["client.get_credential"] = key }, []string{"user-1", "user-2"}},
		"address":                              {`"hash_on":"ip",` + even, func(k *kong, key string) { k.text["client.get_forwarded_ip"] = key }, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}},
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
		unmarked     bool // but watched
	}{
		{name: "nothing depends on it", config: ab},
		{name: "a ramp without a guard", config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1},` + ab},
		{name: "a guard", config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1,"guard":{"max_error_ratio":0.1}},` + ab, mark: `^ctx\.shared\.set traffic_split=/0{16}/a$`},
		{name: "the route's own Service, beside a guarded ramp", config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1,"guard":{"max_error_ratio":0.1}},"backends":[{"service":true},{"name":"b","host":"10.0.0.2"}]`, unmarked: true},
		{name: "passive health checks", config: `"backends":[{"name":"a","host":"10.0.0.1","host_header":"a","health":{"passive":{}}}]`, mark: `^ctx\.shared\.set traffic_split=/[0-9a-f]{8}0{8}/a$`},
		{
			name: "another backend of a ramp whose guard compares", mark: `^ctx\.shared\.set traffic_split=/0{8}[0-9a-f]{8}/a$`,
			config: `"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1,"guard":{"max_error_excess":0.1,"max_latency":1}},` + ab,
		},
		{
			name: "the backend of a guarded ramp", mark: `^ctx\.shared\.set traffic_split=/0{8}[0-9a-f]{8}/a$`,
			config: `"ramp":{"backend":"a","start":"2026-01-31T18:00:00Z","duration":60,"to":50,"guard":{"max_error_ratio":0.1}},"backends":[{"name":"a","host":"10.0.0.1","host_header":"a"},{"name":"b","host":"10.0.0.2","host_header":"b"}]`,
		},
	}
	p := plugin.New(options)
	p.SetSplits(map[string]*config.Config{"web": mustConfig(t, `{"backends":[{"service":true},{"host":"10.0.0.2","weight":0,"health":{"passive":{}}}]}`)})
	k := web()
	if err := k.access(t, start(t, p, onRoute+`"split":"web"`)); err != nil || len(k.told) != 1 || !strings.HasPrefix(k.told[0], "ctx.shared.set traffic_split=web/") {
		t.Errorf("a split file's own Service: %v, told %q", err, k.told)
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
			k.text["response.get_source"] = "service"
			reads, _ := i.Reads("log", time.Now())
			if err := k.run(t, "log", i); err != nil {
				t.Fatal(err)
			}
			if len(k.asked) != len(reads) || (len(reads) > 0) != (tt.mark != "" || tt.unmarked) {
				t.Errorf("the log phase asks for %q, and %d are listed", k.asked, len(reads))
			}
		})
	}
}

// outcome runs the log phase of a request that was given to b, and that Kong has proxied
// where it says so.
func outcome(t *testing.T, i *plugin.Instance, source string, status int32) []string {
	t.Helper()
	return outcomeWith(t, i, source, status, proxied)
}

func outcomeWith(t *testing.T, i *plugin.Instance, source string, status int32, ctx map[string]*structpb.Value) []string {
	t.Helper()
	k := web()
	k.text["response.get_source"], k.status, k.ctx = source, status, ctx
	k.shared = map[string]string{"traffic_split": i.MarkFor("b")}
	if err := k.run(t, "log", i); err != nil {
		t.Fatal(err)
	}
	return k.told
}

// What Kong leaves in the context of a request that it has sent to a backend, and of one
// for whose backend it has found no address.
var (
	proxied   = map[string]*structpb.Value{"KONG_PROXIED": structpb.NewBoolValue(true), "KONG_UPSTREAM_DNS_START": structpb.NewNumberValue(1.7e12)}
	noAddress = map[string]*structpb.Value{"KONG_UPSTREAM_DNS_START": structpb.NewNumberValue(1.7e12)}
)

const watched = `"backends":[{"name":"b","host":"10.0.0.2","host_header":"b","health":{"passive":{"failures":2}}}]`

func TestOutcomes(t *testing.T) {
	const fails, well, nothing = "fails", "is well", "says nothing"
	for _, tt := range []struct {
		source string
		status int32
		ctx    map[string]*structpb.Value
		want   string
	}{
		{"service", 200, proxied, well},
		{"service", 404, proxied, well},
		{"service", 500, proxied, fails},
		{"service", 503, proxied, fails},
		{"service", 499, proxied, nothing},
		{"error", 502, proxied, fails},
		{"error", 504, proxied, fails},
		{"error", 500, proxied, nothing},
		{"error", 499, proxied, nothing},
		{"error", 500, nil, nothing}, // a plugin throws
		{"error", 502, nil, nothing},
		{"exit", 503, noAddress, fails},
		{"exit", 500, noAddress, fails}, // the name server fails
		{"exit", 503, nil, nothing},     // another plugin answers so in access
		{"exit", 503, proxied, nothing}, // or instead of the backend
		{"exit", 401, nil, nothing},
	} {
		// Two failures in a row eject: after one, this one does where it fails,
		// and the next one does where it says nothing.
		i := start(t, plugin.New(options), onRoute+watched)
		outcome(t, i, "service", 500)
		got := well
		if outcomeWith(t, i, tt.source, tt.status, tt.ctx) != nil {
			got = fails
		} else if outcome(t, i, "service", 500) != nil {
			got = nothing
		}
		if got != tt.want {
			t.Errorf("%s %d with %v %s, want: %s", tt.source, tt.status, tt.ctx, got, tt.want)
		}

		// Without a mark, it is of the route's own Service.
		p := plugin.New(options)
		i = start(t, p, onRoute+`"ramp":{"backend":"b","start":"2026-01-31T18:00:00Z","duration":60,"to":1,"guard":{"max_error_ratio":0.1}},`+
			`"backends":[{"name":"b","host":"10.0.0.2"},{"service":true}]`)
		k := web()
		k.text["response.get_source"], k.status, k.ctx = tt.source, tt.status, tt.ctx
		if err := k.run(t, "log", i); err != nil {
			t.Fatal(err)
		}
		want := map[string][2]uint64{well: {1, 0}, fails: {0, 1}}[tt.want]
		service, other := p.Status(time.Now())[0].Backends[1].Outcomes, p.Status(time.Now())[0].Backends[0].Outcomes
		if [2]uint64{service.OK, service.Failed} != want || other.OK+other.Failed > 0 {
			t.Errorf("%s %d with %v and without a mark counts %+v of the Service and %+v of the other, want %v and none",
				tt.source, tt.status, tt.ctx, service, other, want)
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
