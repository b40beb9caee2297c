package companion_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"

	"kong-traffic-split/kong/companion"
)

// offered are tries as the plugin leaves them, of these hosts.
func offered(hosts ...string) string {
	var tries []string
	for _, host := range hosts {
		tries = append(tries, fmt.Sprintf(`{name = "%s:81", host = "%[1]s", port = 81, connect_timeout = 10, send_timeout = 20, read_timeout = 30,
			set = {["X-Is"] = "%[1]s"}, remove = {"X-No"}, response_header = "X-By", logged = true, answer = {set = {["X-A"] = "%[1]s"}, remove = {"X-B"}}}`, host))
	}
	return "{" + strings.Join(tries, ", ") + "}"
}

// offer runs the phase access of a request with these, and returns how long it took.
func (k *kong) offer(t testing.TB, tries string) (seconds float64) {
	t.Helper()
	k.begin()
	k.shared.RawSetString("traffic_split_retry", k.read(tries))
	seconds, err := k.run("access")
	if err != nil {
		t.Fatal(err)
	}
	if len(k.logged) > 0 {
		t.Fatalf("logged: %q", k.logged)
	}
	return seconds
}

func (k *kong) has(t testing.TB, table *lua.LTable, key, want string) {
	t.Helper()
	if got := table.RawGetString(key).String(); got != want {
		t.Errorf("%s is %q, want %q", key, got, want)
	}
}

// A request that fails goes to one after another, with what is theirs, and where it has failed
// is told with the status; after the last one it stays there.
func TestTries(t *testing.T) {
	k := newKong(t)
	k.records["a"], k.records["b"] = []record{{address: "10.0.0.1"}}, []record{{address: "10.0.0.2"}}
	k.offer(t, offered("a", "b"))
	if k.retries != 2 {
		t.Fatalf("%d retries", k.retries)
	}
	for _, step := range []struct {
		code              int
		host, port, tried string
	}{{502, "a", "81", "1 502/a:81"}, {504, "b", "81", "1 502/a:81 504/b:81"}, {502, "b", "81", "1 502/a:81 504/b:81"}} {
		if err := k.fail(step.code); err != nil {
			t.Fatal(err)
		}
		k.has(t, k.balancer, "host", step.host)
		k.has(t, k.balancer, "port", step.port)
		k.has(t, k.balancer, "read_timeout", "30")
		k.has(t, k.shared, "traffic_split_tried", step.tried)
	}
	if _, err := k.run("header_filter"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"request X-Is=a", "request without X-No", "request X-Is=b", "request without X-No",
		"answer X-By=b:81", "log traffic_split.backend=b:81", "log traffic_split.reason=retry", "answer X-A=b", "answer without X-B",
	}
	if diff := cmp.Diff(want, k.changed); diff != "" || len(k.logged) > 0 {
		t.Errorf("(-want +got)\n%s%q", diff, k.logged)
	}
}

// Without anything from the plugin, nothing is done, not even said.
func TestNothingOffered(t *testing.T) {
	k := newKong(t)
	for _, phase := range []string{"access", "header_filter"} {
		if _, err := k.run(phase); err != nil {
			t.Fatal(err)
		}
	}
	if k.callback != nil || k.retries >= 0 || k.shared.RawGetString("traffic_split_tried") != lua.LNil || len(k.changed)+len(k.logged) > 0 {
		t.Errorf("%d retries, changed %q, logged %q", k.retries, k.changed, k.logged)
	}
}

// The first requests of a worker wait for names as long as a name server takes that answers,
// and hardly for one that hangs: once, and all that come meanwhile no longer.
func TestNamesAreAwaited(t *testing.T) {
	k := newKong(t)
	k.records["a"], k.delay = []record{{address: "10.0.0.1"}}, 0.02
	if took := k.offer(t, offered("a")); k.retries != 1 || took > 0.05 {
		t.Errorf("%d retries after %g s, of a name server that takes 0.02 s", k.retries, took)
	}
	if took := k.offer(t, offered("a")); k.retries != 1 || took > 0 {
		t.Errorf("%d retries after %g s, of a name that is known", k.retries, took)
	}

	k.delay = math.Inf(1)
	if took := k.offer(t, offered("hangs", "a", "hangs-too")); k.retries != 1 || took > 0.5001 {
		t.Errorf("%d retries after %g s, of two of three names whose server hangs", k.retries, took)
	}
	for range 100 {
		k.now += 7
		if took := k.offer(t, offered("hangs", "a", "hangs-too")); k.retries != 1 || took > 0 {
			t.Fatalf("%d retries after %g s, when it hangs for long", k.retries, took)
		}
	}
	if len(k.timers) != 2 {
		t.Errorf("%d lookups are under way, of two names", len(k.timers))
	}
}

// A name that nobody knows is asked for once a second, and no request waits after the first;
// once there is one, it is tried.
func TestUnknownNames(t *testing.T) {
	k := newKong(t)
	k.delay = 0.02
	for i := range 10 {
		if took := k.offer(t, offered("a")); k.retries != 0 || (took > 0) != (i == 0) {
			t.Errorf("%d retries after %g s", k.retries, took)
		}
		k.sleep(0.2)
	}
	k.records["a"] = []record{{address: "10.0.0.1"}}
	k.sleep(1)
	k.offer(t, offered("a"))
	k.sleep(0.03)
	if took := k.offer(t, offered("a")); k.retries != 1 || took > 0 {
		t.Errorf("%d retries after %g s", k.retries, took)
	}
}

// A name that the cache has lost, by its time or as it is full, is awaited again; one that it
// loses between two tries is passed over.
func TestLostNames(t *testing.T) {
	k := newKong(t)
	k.records["a"], k.records["b"], k.delay = []record{{address: "10.0.0.1"}}, []record{{address: "10.0.0.2"}}, 0.02
	for range 3 {
		if took := k.offer(t, offered("a")); k.retries != 1 || took == 0 {
			t.Errorf("%d retries after %g s", k.retries, took)
		}
		k.sleep(3600)
		clear(k.cached)
	}
	k.offer(t, offered("a", "b"))
	delete(k.cached, "a")
	if err := k.fail(502); err != nil {
		t.Fatal(err)
	}
	k.has(t, k.balancer, "host", "b")
}

// Of a name with records SRV all names have to be known that they lead to: Kong takes any.
func TestServices(t *testing.T) {
	k := newKong(t)
	k.records["srv"] = []record{{target: "a"}, {target: "b"}, {target: "a"}}
	k.records["a"], k.records["b"] = []record{{address: "10.0.0.1"}}, []record{{address: "10.0.0.2"}}
	k.records["loop"] = []record{{target: "loop"}}
	k.records["half"] = []record{{target: "a"}, {target: "missing"}}
	k.offer(t, offered("srv", "loop", "half"))
	if k.retries != 1 || !k.cached["a"] || !k.cached["b"] {
		t.Errorf("%d retries, of the names %v", k.retries, k.cached)
	}
	delete(k.cached, "b")
	k.sleep(1)
	k.offer(t, offered("srv"))
	if k.retries != 1 || !k.cached["b"] {
		t.Errorf("%d retries, of the names %v", k.retries, k.cached)
	}
}

// Whatever is found where the plugin leaves what it does, no request fails for it: Kong can go
// on with what is in its table, and the log says what is wrong.
func TestMalformed(t *testing.T) {
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			if depth == 0 || rapid.Bool().Draw(t, "plain") {
				return rapid.SampledFrom([]string{"nil", "false", "true", "7", "-1.5", `""`, `"a"`, `"X-A"`, "{}"}).Draw(t, "value")
			}
			var fields []string
			for range rapid.IntRange(0, 4).Draw(t, "fields") {
				key := rapid.SampledFrom([]string{"", "", "name = ", "host = ", "port = ", "connect_timeout = ", "set = ", "remove = ", "answer = ", "response_header = ", "logged = ", `["X-A"] = `}).Draw(t, "key")
				fields = append(fields, key+value(depth-1).Draw(t, "field"))
			}
			return "{" + strings.Join(fields, ", ") + "}"
		})
	}
	rapid.Check(t, func(r *rapid.T) {
		k := newKong(t)
		k.records["a"] = []record{{address: "10.0.0.1"}}
		good := strings.TrimSuffix(strings.TrimPrefix(offered("a"), "{"), "}}")
		draw := func(key string) string {
			if rapid.Bool().Draw(r, key+" is nearly good") {
				field := rapid.SampledFrom([]string{"name", "host", "port", "connect_timeout", "send_timeout", "read_timeout", "set", "remove", "response_header", "logged", "answer"}).Draw(r, "replaced")
				return fmt.Sprintf("{%s, %s = %s}}", good, field, value(2).Draw(r, "by"))
			}
			return value(3).Draw(r, key)
		}
		k.shared.RawSetString("traffic_split_retry", k.read(draw("traffic_split_retry")))
		k.shared.RawSetString("traffic_split_answer", k.read(value(3).Draw(r, "traffic_split_answer")))
		if _, err := k.run("access"); err != nil {
			r.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(r, "failures") {
			if err := k.fail(502); err != nil {
				r.Fatal(err)
			}
		}
		for field, kind := range map[string]lua.LValueType{
			"host": lua.LTString, "port": lua.LTNumber, "connect_timeout": lua.LTNumber, "send_timeout": lua.LTNumber, "read_timeout": lua.LTNumber,
		} {
			if got := k.balancer.RawGetString(field).Type(); got != kind {
				r.Fatalf("%s is a %v", field, got)
			}
		}
		if _, err := k.run("header_filter"); err != nil {
			r.Fatal(err)
		}
	})
}

// The functions are put behind those of others, once, and in the place of those of another version.
func TestAdd(t *testing.T) {
	phases := map[string][]string{"log": {"return 1"}}
	for _, f := range companion.Functions() {
		old := strings.Replace(f.Text, "companion "+companion.Version, "companion 0", 1)
		phases[f.Phase] = []string{old, "return 2", f.Text, old}
		if s := companion.Of(phases); s.Complete() || s.Version != "0" {
			t.Errorf("%s with another version beside it: %+v", f.Phase, s)
		}
	}
	for range 2 {
		companion.Add(phases)
		if s := companion.Of(phases); !s.Complete() || s.Version != companion.Version {
			t.Errorf("%+v", s)
		}
		if len(phases["log"]) != 1 || len(phases["access"]) != 2 || phases["access"][0] != "return 2" {
			t.Errorf("%q", phases)
		}
	}
}
