package standin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/wire"
)

// fakeRoute is a configuration with the plugin on a route.
func fakeRoute(b *backend) string {
	return oneRoute(b.URL, "", "plugins: [{name: fake, config: {say: hi}}]")
}

// saysHeader is a plugin whose answer shows that it ran.
func saysHeader(kong *pdk.PDK) { _ = kong.Response.SetHeader("X-Fake", "ran") }

func TestOneInstanceForEachWorker(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(b), Options{Workers: 3, PluginServers: p.server()})
	for range 9 {
		if response, _ := fetch(t, g, "GET", "/r"); response.Header.Get("X-Fake") != "ran" {
			t.Error("the plugin did not run")
		}
	}
	if starts := p.noted("start"); len(starts) != 3 {
		t.Errorf("started %v", starts)
	}
	counts := map[string]int{}
	for _, event := range p.noted("access") {
		counts[event]++
	}
	for event, n := range counts {
		if n != 3 {
			t.Errorf("%s came %d times", event, n)
		}
	}
}

// TestWorkerOfAConnection sends several requests on one connection.
func TestWorkerOfAConnection(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(b), Options{Workers: 3, PluginServers: p.server()})
	client := dialRaw(t, g)
	for range 5 {
		client.get("/r", "Host: h")
	}
	if starts := p.noted("start"); len(starts) != 1 {
		t.Errorf("started %v", starts)
	}
}

func TestPostedConfigReplacesInstances(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	fetch(t, g, "GET", "/r")
	postConfig(t, g, fakeRoute(b))
	fetch(t, g, "GET", "/r")
	want := []string{"start 1", "access 1", "start 2", "close 1", "access 2"}
	if diff := cmp.Diff(want, p.noted("")); diff != "" {
		t.Error(diff)
	}
	if p.instances[1]["__plugin_id"] != p.instances[2]["__plugin_id"] {
		t.Error("__plugin_id has changed")
	}
}

// TestReloadStartsNewWorkers covers `kong reload`, whose workers know nothing of
// former instances.
func TestReloadStartsNewWorkers(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	fetch(t, g, "GET", "/r")
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	fetch(t, g, "GET", "/r")
	want := []string{"start 1", "access 1", "start 2", "access 2"}
	if diff := cmp.Diff(want, p.noted("")); diff != "" {
		t.Error(diff)
	}
}

func TestServerThatIsRestarted(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	for range 3 {
		response, body := fetch(t, g, "GET", "/r")
		if response.StatusCode != 200 || response.Header.Get("X-Fake") != "ran" {
			t.Errorf("got %s %s", response.Status, body)
		}
		p.restart()
		awaitEnds(g)
	}
}

// awaitEnds waits until the workers know that their idle connections have ended.
func awaitEnds(g *Gateway) {
	for _, w := range g.workers() {
		for _, client := range w.clients {
			client.pool.mu.Lock()
			idle := slices.Clone(client.pool.idle)
			client.pool.mu.Unlock()
			for _, c := range idle {
				<-c.watched
			}
		}
	}
}

// TestUnknownInstance covers a server that has lost an instance and ends the
// connection.
func TestUnknownInstance(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	log := &testLog{t: t}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server(), ErrorLog: log, Workers: 2})
	fetch(t, g, "GET", "/r")
	fetch(t, g, "GET", "/r")
	p.mu.Lock()
	clear(p.instances)
	p.mu.Unlock()
	for range 2 {
		if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 200 || response.Header.Get("X-Fake") != "ran" {
			t.Errorf("got %s", response.Status)
		}
	}
	want := []string{
		"start 1", "access 1", "start 2", "access 2", // one row on two workers
		"access 1", "start 1", "access 1",
		"start 2", "access 2", // forgotten by the other worker, too
	}
	if diff := cmp.Diff(want, p.noted("")); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(log.String(), "[warn]") || !strings.Contains(log.String(), "[fake] closed") {
		t.Error("the log does not say that the connection was closed")
	}
}

// TestUnknownInstanceInTheLogPhase is repeated, too, although the client has its
// answer.
func TestUnknownInstanceInTheLogPhase(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	logged := make(chan struct{}, 10)
	p.access = func(*pdk.PDK, net.Conn, map[string]any) {
		p.mu.Lock()
		clear(p.instances)
		p.mu.Unlock()
	}
	p.log = func(*pdk.PDK, net.Conn, map[string]any) { logged <- struct{}{} }
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	fetch(t, g, "GET", "/r")
	<-logged
	if diff := cmp.Diff([]string{"start 1", "access 1", "log 1", "start 1", "log 1"}, p.noted("")); diff != "" {
		t.Error(diff)
	}
}

func TestServerThatIsGone(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	log := &testLog{t: t}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server(), ErrorLog: log})
	p.stop()
	response, body := fetch(t, g, "GET", "/r")
	if response.StatusCode != 500 || message(body) != "An unexpected error occurred" {
		t.Errorf("got %s %q", response.Status, body)
	}
	if !strings.Contains(log.String(), "trying to connect: connection refused") &&
		!strings.Contains(log.String(), "trying to connect: no such file or directory") {
		t.Error("the log does not say that it cannot connect")
	}
	p.listen()
	if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 200 {
		t.Errorf("got %s once it was back", response.Status)
	}
}

func TestConfigThatIsRefusedByTheServer(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	p.start = func(map[string]any) bool { return false }
	log := &testLog{t: t}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server(), ErrorLog: log})
	for range 2 {
		if response, _ := fetch(t, g, "GET", "/r"); response.StatusCode != 500 {
			t.Errorf("got %s", response.Status)
		}
	}
	if !strings.Contains(log.String(), "starting instance: closed") {
		t.Error("the log does not say why")
	}
}

// TestConnectionReset covers a server that ends with unread bytes, whose system
// resets the connection: Kong does not repeat that.
func TestConnectionReset(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	resets := 0
	p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		if resets++; resets > 1 {
			return
		}
		// The reply to this stays unread.
		_, _ = conn.Write(wire.AppendFrame(wire.AppendFrame(nil, []byte("kong.request.get_method")), nil))
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	statuses := []int{}
	for range 2 {
		response, _ := fetch(t, g, "GET", "/r")
		statuses = append(statuses, response.StatusCode)
	}
	if !slices.Equal(statuses, []int{500, 200}) {
		t.Errorf("got %v", statuses)
	}
}

// TestServerThatHangs is given up on after a while; Kong does not repeat that.
func TestServerThatHangs(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	release, events := make(chan struct{}), 0
	p.access = func(*pdk.PDK, net.Conn, map[string]any) {
		if events++; events > 1 {
			<-release
		}
	}
	log := &testLog{t: t}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server(), ErrorLog: log})
	fetch(t, g, "GET", "/r") // connects and starts the instance, which takes its time
	g.http.workers[0].requests.Wait()
	g.http.workers[0].clients["fake"].pool.timeout = 50 * time.Millisecond
	response, _ := fetch(t, g, "GET", "/r")
	close(release)
	if response.StatusCode != 500 || !strings.Contains(log.String(), "[fake] pluginserver error: timeout") {
		t.Errorf("got %s", response.Status)
	}
}

// TestRepliesThatNobodyWaitsFor sends calls, the end and the return in one
// write, as the protocol allows.
func TestRepliesThatNobodyWaitsFor(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	p.access = func(_ *pdk.PDK, conn net.Conn, _ map[string]any) {
		var calls []byte
		for i := range 100 {
			header := appendBytes(appendText(nil, 1, fmt.Sprintf("X-%d", i)), 2, encodeValue("v"))
			calls = wire.AppendFrame(wire.AppendFrame(calls, []byte("kong.response.set_header")), header)
		}
		_, _ = conn.Write(calls)
		for range 100 {
			if _, err := wire.ReadFrame(conn, nil); err != nil {
				t.Error(err)
			}
		}
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	response, _ := fetch(t, g, "GET", "/r")
	for i := range 100 {
		if response.Header.Get(fmt.Sprintf("X-%d", i)) != "v" {
			t.Fatalf("X-%d is missing", i)
		}
	}
}

func TestConnectionsAreKept(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	for range 5 {
		fetch(t, g, "GET", "/r")
		g.http.workers[0].requests.Wait()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) != 1 {
		t.Errorf("%d connections for requests one after another", len(p.conns))
	}
}

func TestWhatAPluginKnowsOfItsRow(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	g := startGateway(t, oneRoute(b.URL, "", "")+`
plugins:
- {name: fake, instance_name: mine, route: route, service: service, consumer: ann}
- {name: fake}
- {name: key-auth}
consumers: [{username: ann, keyauth_credentials: [{key: k}]}]
`, Options{PluginServers: p.server()})
	fetch(t, g, "GET", "/r", "apikey: k")
	route, service, consumer := g.current.Load().config.Routes[0].ID,
		g.current.Load().config.Services[0].ID, g.current.Load().config.Consumers[0].ID
	ws := "0dc6f45b-8f8d-40d2-a504-473544ee190b"
	for _, config := range p.instances {
		delete(config, "__plugin_id")
		delete(config, "__seq__")
		want := map[string]any{
			"route_id": route, "service_id": service, "consumer_id": consumer, "plugin_instance_name": "mine",
			"__ws_id": ws, "__key__": strings.Join([]string{"plugins:fake", route, service, consumer, "", ws}, ":"),
		}
		if diff := cmp.Diff(want, config); diff != "" {
			t.Error(diff)
		}
	}
	if len(p.instances) != 1 {
		t.Errorf("%d instances", len(p.instances))
	}
}

// TestPrecedence has a row of the plugin in every place and takes the most
// particular away, one after another.
func TestPrecedence(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	p.access = func(kong *pdk.PDK, _ net.Conn, config map[string]any) {
		_ = kong.Response.SetHeader("X-Fake", config["say"].(string))
	}
	rows := []string{
		"route: route, service: service, consumer: ann", "route: route, consumer: ann",
		"service: service, consumer: ann", "route: route, service: service", "consumer: ann",
		"route: route", "service: service", "tags: [everywhere]",
	}
	config := func(rows []string) string {
		var text strings.Builder
		text.WriteString(oneRoute(b.URL, "", "") + "consumers: [{username: ann, keyauth_credentials: [{key: k}]}]\nplugins:\n- name: key-auth\n")
		for i := len(rows) - 1; i >= 0; i-- {
			fmt.Fprintf(&text, "- {name: fake, config: {say: %q}, %s}\n", rows[i], rows[i])
		}
		return text.String()
	}
	g := startGateway(t, config(rows), Options{PluginServers: p.server()})
	for ; len(rows) > 0; rows = rows[1:] {
		postConfig(t, g, config(rows))
		response, _ := fetch(t, g, "GET", "/r", "apikey: k")
		if got := response.Header.Get("X-Fake"); got != rows[0] {
			t.Errorf("the row %q ran, not %q", got, rows[0])
		}
	}
}

func TestLogPhase(t *testing.T) {
	b := startBackend(t, "b")
	p := servePlugin(t, nil)
	type seen struct {
		Status         int
		Source, Shared string
		Route          any
	}
	logged := make(chan seen)
	p.access = func(kong *pdk.PDK, _ net.Conn, config map[string]any) {
		_ = kong.Ctx.SetShared("k", "v")
		if config["say"] == "exit" {
			kong.Response.Exit(503, nil, nil)
		}
	}
	p.log = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		var got seen
		got.Status, _ = kong.Response.GetStatus()
		got.Source, _ = kong.Response.GetSource()
		got.Shared, _ = kong.Ctx.GetSharedString("k")
		route, _ := kong.Nginx.GetCtxAny("route")
		if row, ok := route.(map[string]any); ok {
			got.Route = row["name"]
		}
		logged <- got
	}
	failing := startBackendWith(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	hanging := startBackendWith(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, tt := range []struct {
		name, config string
		want         seen
	}{
		{"the Service answers", fakeRoute(b), seen{200, "service", "v", "route"}},
		{"the Service fails", fakeRoute(failing), seen{503, "service", "v", "route"}},
		{
			"the Service does not answer", oneRoute(hanging.URL, "retries: 0\n  read_timeout: 1", "plugins: [{name: fake}]"),
			seen{504, "error", "v", "route"},
		},
		{
			"the plugin answers", oneRoute(b.URL, "", "plugins: [{name: fake, config: {say: exit}}]"),
			seen{503, "exit", "v", "route"},
		},
		{
			"the port is closed",
			oneRoute(fmt.Sprintf("http://127.0.0.1:%d", closedPort), "retries: 0", "plugins: [{name: fake}]"),
			seen{502, "error", "v", "route"},
		},
		{
			"the name does not resolve",
			oneRoute("http://nothing.invalid", "", "plugins: [{name: fake}]"),
			seen{503, "exit", "v", "route"},
		},
		{"there is no route", `{_format_version: "3.0", plugins: [{name: fake}]}`, seen{404, "exit", "", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := startGateway(t, tt.config, Options{PluginServers: p.server()})
			fetch(t, g, "GET", "/r")
			if diff := cmp.Diff(tt.want, <-logged); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestClientThatDoesNotWait covers nginx's status 499.
func TestClientThatDoesNotWait(t *testing.T) {
	asked, released := make(chan bool), make(chan bool)
	b := startBackendWith(t, func(http.ResponseWriter, *http.Request) {
		asked <- true
		<-released
	})
	defer close(released)
	p := servePlugin(t, nil)
	logged := make(chan string)
	p.log = func(kong *pdk.PDK, _ net.Conn, _ map[string]any) {
		status, _ := kong.Response.GetStatus()
		source, _ := kong.Response.GetSource()
		logged <- fmt.Sprint(status, " ", source)
	}
	g := startGateway(t, fakeRoute(b), Options{PluginServers: p.server()})
	c := dialRaw(t, g)
	if _, err := io.WriteString(c.conn, "GET /r HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	_ = c.conn.Close()
	if got := <-logged; got != "499 service" {
		t.Errorf("got %s", got)
	}
}

// TestPhaseThatIsNotDeclared runs nowhere.
func TestPhaseThatIsNotDeclared(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, nil)
	p.log = func(*pdk.PDK, net.Conn, map[string]any) {}
	servers := p.server()
	servers[0].QueryCmd = strings.Replace(servers[0].QueryCmd, `"access",`, "", 1)
	g := startGateway(t, fakeRoute(b), Options{PluginServers: servers})
	fetch(t, g, "GET", "/r")
	g.http.workers[0].requests.Wait() // for the log phase
	if diff := cmp.Diff([]string{"start 1", "log 1"}, p.noted("")); diff != "" {
		t.Error(diff)
	}
}

// TestPhasesThatAreNotRun says so at the start.
func TestPhasesThatAreNotRun(t *testing.T) {
	p := servePlugin(t, saysHeader)
	servers := p.server()
	servers[0].QueryCmd = strings.Replace(servers[0].QueryCmd, `["access"]`, `["access","rewrite"]`, 1)
	log := &testLog{t: t}
	startGateway(t, `_format_version: "3.0"`, Options{PluginServers: servers, ErrorLog: log})
	if !strings.Contains(log.String(), "[fake] this gateway does not run the phase rewrite") {
		t.Error("the log does not say it")
	}
}

func TestPluginIsOnlyRunWhereItsProtocolsAreHTTP(t *testing.T) {
	b, p := startBackend(t, "b"), servePlugin(t, saysHeader)
	for protocols, runs := range map[string]string{"[http]": "ran", "[tcp, tls]": ""} {
		g := startGateway(t, oneRoute(b.URL, "", "plugins: [{name: fake, protocols: "+protocols+"}]"),
			Options{PluginServers: p.server()})
		response, _ := fetch(t, g, "GET", "/r")
		if response.StatusCode != http.StatusOK || response.Header.Get("X-Fake") != runs {
			t.Errorf("protocols %s: %s, X-Fake %q", protocols, response.Status, response.Header.Get("X-Fake"))
		}
	}
}
