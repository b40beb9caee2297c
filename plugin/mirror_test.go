package plugin_test

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/mirror"
)

// shadows get copies without a network.
type shadows struct {
	copies []*mirror.Copy
	refuse mirror.Drop // of Admit
	drop   mirror.Drop // of Send
}

func (s *shadows) Admit(mirror.Target, time.Time) mirror.Drop { return s.refuse }

func (s *shadows) Send(c *mirror.Copy) mirror.Drop {
	if s.drop == "" {
		s.copies = append(s.copies, c)
	}
	return s.drop
}

// mirroring is a plugin whose copies are kept.
func mirroring() (*plugin.Plugin, *shadows, *bytes.Buffer) {
	s, log := &shadows{}, new(bytes.Buffer)
	o := options
	o.Mirrors, o.Log = s, slog.New(slog.NewTextHandler(log, nil))
	return plugin.New(o), s, log
}

// posted is a request with a body.
func posted(body string) *kong {
	k := web()
	k.text["request.get_method"], k.text["request.get_raw_query"] = "POST", "q=%zz"
	k.headers = map[string]string{"Content-Length": "5", "X_Key": "secret", "X-Kept": "caf\xe9"}
	k.vars = map[string]string{"server_protocol": "HTTP/1.1", "remote_addr": "10.1.1.1", "upstream_x_forwarded_for": "1.2.3.4, 10.1.1.1"}
	k.body = &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(body)}}
	return k
}

const toShadow = onRoute + `"backends":[{"service":true}],"mirror":[{"host":"shadow.internal"}]`

// uncopied are the requests that were not copied to the only shadow, by the reason.
func uncopied(p *plugin.Plugin) map[mirror.Drop]uint64 {
	all := p.Status(time.Now())[0].Mirrors[0].Uncopied
	maps.DeleteFunc(all, func(_ mirror.Drop, n uint64) bool { return n == 0 })
	return all
}

// A copy is what Kong tells of the request before it is changed for its backend, without what
// is of the client's connection. That takes out nothing that is set.
func TestCopy(t *testing.T) {
	p, s, _ := mirroring()
	i := start(t, p, onRoute+`"backends":[{"host":"a.internal","path":"/v2","request_headers":{"set":{"X-Real":"1"}}}],"mirror":[
		{"host":"shadow.internal","port":8080,"request_headers":{"set":{"X-Set":"1"},"add":{"X-Kept":"2"},"remove":["X-Key"]}},
		{"host":"other","protocol":"https","host_header":"preserve"}]`)
	k := posted("hello")
	k.headers["Connection"], k.headers["X-Hop"] = "X-Hop, x-set, X-Real-IP, Host", "1"
	if err := k.access(t, i); err != nil {
		t.Fatal(err)
	}
	if len(s.copies) != 2 {
		t.Fatalf("%d copies", len(s.copies))
	}
	for _, c := range s.copies {
		c.Done = nil
	}
	const another = "another of this name" // which the fake Kong has of each
	both := map[string][]string{
		"x-real-ip": {"10.1.1.1"}, "x-forwarded-for": {"1.2.3.4, 10.1.1.1"}, "host": {"shop.example:8000"}, "content-length": {"5", another},
		"connection": {"X-Hop, x-set, X-Real-IP, Host", another},
	}
	first := map[string][]string{"x-kept": {"caf\xe9", another, "2"}, "x-set": {"1"}}
	second := map[string][]string{"x-kept": {"caf\xe9", another}, "x_key": {"secret", another}}
	maps.Copy(first, both)
	maps.Copy(second, both)
	want := []*mirror.Copy{
		{Target: mirror.Target{Protocol: "http", Host: "shadow.internal", Port: 8080}, Method: "POST", URI: "/base/cart?q=%zz", Host: "shadow.internal:8080", Header: first, Body: mirror.Content([]byte("hello"))},
		{Target: mirror.Target{Protocol: "https", Host: "other", Port: 443}, Method: "POST", URI: "/base/cart?q=%zz", Host: "shop.example:8000", Header: second, Body: mirror.Content([]byte("hello"))},
	}
	if diff := cmp.Diff(want, s.copies, cmp.AllowUnexported(mirror.Body{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := len(slices.DeleteFunc(slices.Clone(k.asked), func(what string) bool { return what != "request.get_raw_body" })); n != 1 {
		t.Errorf("asked %d times for the body", n)
	}
}

// What is not copied, and why.
func TestUncopied(t *testing.T) {
	type body = kong_plugin_protocol.RawBodyResult
	ownBackend := onRoute + `"backends":[{"service":true,"weight":0},{"name":"b","host":"b"}],"mirror":[{"backend":"b"}]`
	byPath := onRoute + `"backends":[{"service":true},{"name":"b","host":"b","replace_prefix":"/v2","weight":0}],"mirror":[{"backend":"b"}]`
	for _, tt := range []struct {
		name   string
		kong   func(*kong)
		config string // toShadow where it is empty
		want   mirror.Drop
		copies int
		asked  bool // for the body
	}{
		{name: "a body", copies: 1, asked: true},
		{name: "no body", kong: func(k *kong) { delete(k.headers, "Content-Length") }, copies: 1},
		{name: "an empty one", kong: func(k *kong) { k.headers["Content-Length"] = "0" }, copies: 1},
		{name: "a copy", kong: func(k *kong) { k.headers["X-Shadow"] = "traffic-split" }, want: "copy"},
		{name: "a copy of a copy of another kind", kong: func(k *kong) { k.headers["X-Shadow"] = "other, Traffic-Split" }, want: "copy"},
		{name: "more headers than Kong tells, among which may be the mark", kong: func(k *kong) { k.junk = 1000 }, want: "too_many_headers"},
		{name: "a copy of another kind", kong: func(k *kong) { k.headers["X-Shadow"] = "other" }, copies: 1, asked: true},
		{name: "gRPC", kong: func(k *kong) { k.headers["Content-Type"] = "application/grpc+proto" }, want: "grpc"},
		{name: "a gRPC Service", kong: func(k *kong) { k.service["protocol"] = "grpcs" }, want: "grpc"},
		{name: "a WebSocket", kong: func(k *kong) { k.headers["Upgrade"] = "WebSocket" }, want: "websocket"},
		{name: "another protocol on offer", kong: func(k *kong) { k.headers["Upgrade"] = "h2c" }, copies: 1, asked: true},
		{name: "chunks", kong: func(k *kong) {
			delete(k.headers, "Content-Length")
			k.headers["Transfer-Encoding"] = "chunked"
		}, want: "body_unbounded"},
		{name: "HTTP/2 with a length", kong: func(k *kong) { k.vars["server_protocol"] = "HTTP/2.0" }, copies: 1, asked: true},
		{name: "HTTP/2 without one", kong: func(k *kong) {
			delete(k.headers, "Content-Length")
			k.vars["server_protocol"] = "HTTP/2.0"
		}, want: "body_unbounded"},
		{name: "HTTP/2 without a body", kong: func(k *kong) {
			delete(k.headers, "Content-Length")
			k.vars["server_protocol"], k.text["request.get_method"] = "HTTP/2.0", "GET"
		}, copies: 1},
		{name: "an odd length", kong: func(k *kong) { k.headers["Content-Length"] = "-1" }, want: "body_unbounded"},
		{name: "a body that is too long", kong: func(k *kong) { k.headers["Content-Length"] = "1048577" }, want: "body_too_long"},
		{name: "a route that does not buffer", kong: func(k *kong) { k.route["request_buffering"] = false }, want: "body_unbuffered"},
		{name: "a route that buffers", kong: func(k *kong) { k.route["request_buffering"] = true }, copies: 1, asked: true},
		{name: "a file that is not there", kong: func(k *kong) {
			k.body = &body{Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: "/nowhere"}}
		}, want: "body_unreadable", asked: true},
		{name: "an error of Kong's", kong: func(k *kong) {
			k.body = &body{Kind: &kong_plugin_protocol.RawBodyResult_Error{Error: "no"}}
		}, want: "body_unreadable", asked: true},
		{name: "a path that is not known", kong: func(k *kong) { k.route["paths"] = []any{"~/a(?=b)"} }, config: byPath, want: "path_unavailable"},
		{name: "its own backend", config: ownBackend},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, s, log := mirroring()
			if tt.config == "" {
				tt.config = toShadow
			}
			i := start(t, p, tt.config)
			k := posted("hello")
			if tt.kong != nil {
				tt.kong(k)
			}
			if err := k.access(t, i); err != nil {
				t.Fatal(err)
			}
			want := map[mirror.Drop]uint64{}
			if tt.want != "" {
				want[tt.want] = 1
			}
			if diff := cmp.Diff(want, uncopied(p)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(s.copies) != tt.copies {
				t.Errorf("%d copies", len(s.copies))
			}
			if logged := strings.Contains(log.String(), "requests are not copied"); logged != (tt.want != "" && tt.want != "copy") {
				t.Errorf("logged %s", log)
			}
			if asked := slices.Contains(k.asked, "request.get_raw_body"); asked != tt.asked {
				t.Errorf("asked for %v", k.asked)
			}
		})
	}
}

// What a shadow would not take is not asked for.
func TestNotAdmitted(t *testing.T) {
	p, s, _ := mirroring()
	s.refuse = mirror.ShadowDown
	i := start(t, p, toShadow)
	for range 2 {
		k := posted("hello")
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(k.asked, "request.get_headers") {
			t.Errorf("asked for %v", k.asked)
		}
	}
	s.refuse, s.drop = "", mirror.MemoryFull
	if err := posted("hello").access(t, i); err != nil {
		t.Fatal(err)
	}
	want := map[mirror.Drop]uint64{mirror.ShadowDown: 2, mirror.MemoryFull: 1}
	if diff := cmp.Diff(want, uncopied(p)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A body in a file is opened before Kong may remove it.
func TestBodyIsOpenedInTime(t *testing.T) {
	p, s, _ := mirroring()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := posted("")
	k.body.Kind = &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: path}
	if err := k.access(t, start(t, p, toShadow)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	senders := mirror.New()
	defer senders.Close()
	done := make(chan mirror.Result, 1)
	c := s.copies[0]
	c.Target, c.Done = mirror.Target{Protocol: "http", Host: "127.0.0.1", Port: 1}, func(r mirror.Result) { done <- r }
	if drop := senders.Send(c); drop != "" {
		t.Fatal(drop)
	}
	if r := <-done; r.Err == nil || !strings.Contains(r.Err.Error(), "refused") { // and not that there is no file
		t.Error(r)
	}
}

// Answers are compared with the real one, whichever comes first.
func TestCompared(t *testing.T) {
	p, s, log := mirroring()
	i := start(t, p, toShadow)
	run := func(status int32, answer mirror.Result, first bool) {
		t.Helper()
		k := posted("hello")
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		c := s.copies[len(s.copies)-1]
		if first {
			c.Done(answer)
		}
		k.text["response.get_source"], k.status = "service", status
		if err := k.run(t, "log", i); err != nil {
			t.Fatal(err)
		}
		if !first {
			c.Done(answer)
		}
	}
	run(200, mirror.Result{Status: 204}, true)
	run(200, mirror.Result{Status: 204}, false)
	run(404, mirror.Result{Status: 500}, true)
	run(200, mirror.Result{Err: errors.New("refused")}, false)
	run(200, mirror.Result{Drop: mirror.Closed}, true)
	run(200, mirror.Result{Status: 200}, true)
	status := p.Status(time.Now())[0]
	status.Mirrors[0].Uncopied = uncopied(p)
	want := plugin.MirrorStatus{
		Shadow: "shadow.internal:80", Percent: 100,
		Copies: map[string]uint64{"2xx": 3, "5xx": 1, "no_answer": 1}, Uncopied: map[mirror.Drop]uint64{mirror.Closed: 1},
		Compared: &plugin.Compared{Same: 3, Differing: 2}, Wrong: "closed", WrongAt: status.Mirrors[0].WrongAt,
	}
	if diff := cmp.Diff(want, status.Mirrors[0]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if classes := status.Backends[0].Outcomes.Classes; classes["2xx"] != 5 || classes["4xx"] != 1 {
		t.Errorf("outcomes %v", classes)
	}
	for _, line := range []string{
		`level=WARN msg="copies get no answer from a shadow" split=p1 shadow=shadow.internal:80 copies=1 error=refused`,
		`level=INFO msg="copies get answers from a shadow again" split=p1`,
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no %s in\n%s", line, log)
		}
	}
}

// Whoever is not told outcomes compares nothing, and leaves no mark.
func TestNothingToCompare(t *testing.T) {
	s := &shadows{}
	o := options
	o.Mirrors, o.Outcomes = s, false
	p := plugin.New(o)
	k := posted("hello")
	if err := k.access(t, start(t, p, toShadow)); err != nil {
		t.Fatal(err)
	}
	s.copies[0].Done(mirror.Result{Status: 200})
	if m := p.Status(time.Now())[0].Mirrors[0]; m.Compared != nil || k.shared != nil || m.Copies["2xx"] != 1 {
		t.Errorf("%+v, marked %v", m, k.shared)
	}
}

// The same line is logged once a minute, with how often there was cause for it.
func TestLinesOfShadows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, log := mirroring()
		s.refuse = mirror.QueueFull
		i := start(t, p, toShadow)
		for range 130 { // one a second, of which those at 0, 60 and 120 s are logged
			if err := posted("hello").access(t, i); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(log.String()), "\n"), func(line string) bool {
			return !strings.Contains(line, "requests are not copied")
		})
		if len(lines) != 3 || !strings.HasSuffix(lines[0], "reason=queue_full requests=1") || !strings.HasSuffix(lines[2], "reason=queue_full requests=60") {
			t.Errorf("logged\n%s", log)
		}
	})
}

// Counts go on over a reload, and the rotation with them.
func TestMirrorsGoOn(t *testing.T) {
	p, s, _ := mirroring()
	half := onRoute + `"backends":[{"service":true}],"mirror":[{"host":"shadow.internal","percent":50}]`
	first := start(t, p, half)
	if err := posted("hello").access(t, first); err != nil || len(s.copies) != 0 {
		t.Fatal(err, len(s.copies))
	}
	second := start(t, p, strings.Replace(half, `"service":true`, `"service":true,"weight":2`, 1))
	first.Close()
	if err := posted("hello").access(t, second); err != nil || len(s.copies) != 1 {
		t.Fatal(err, len(s.copies))
	}
	s.copies[0].Done(mirror.Result{Status: 200})
	third := start(t, p, half)
	second.Close()
	defer third.Close()
	if m := p.Status(time.Now())[0].Mirrors[0]; m.Copies["2xx"] != 1 {
		t.Errorf("%+v", m)
	}
}
