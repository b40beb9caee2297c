package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kong-traffic-split/cmd/traffic-split-controller/apiserver"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// crds are those of the Gateway API's module, of the experimental channel, and of Kong's
// ingress controller.
func crds(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, path := range []string{filepath.Join(strings.TrimSpace(string(dir)), "config/crd/experimental"), "testdata/crds"} {
		objects, err := apiserver.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
			if slices.Contains([]string{"HTTPRoute", "GRPCRoute", "ReferenceGrant", "Gateway", "KongPlugin", "KongClusterPlugin"}, kind) {
				all = append(all, o)
			}
		}
	}
	return all
}

// installed starts an API server that has the CRDs.
func installed(t *testing.T) (*apiserver.Server, *apiserver.Client) {
	t.Helper()
	s := apiserver.Start(t)
	c := s.Client(apiserver.Admin)
	install(t, c)
	return s, c
}

func install(t *testing.T, c *apiserver.Client) {
	t.Helper()
	all := crds(t)
	apply(t, c, all...)
	for _, crd := range all { // served a moment later
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
		until(t, func() error { return c.Serves(group, kind) })
	}
}

func apply(t *testing.T, c *apiserver.Client, objects ...*unstructured.Unstructured) {
	t.Helper()
	if err := c.Apply(t.Context(), false, objects...); err != nil {
		t.Fatal(err)
	}
}

func manifest(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	all, err := apiserver.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// until waits until try has no error.
func until(t *testing.T, try func() error) {
	t.Helper()
	deadline, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline.Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// output is what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// controlled is a controller that runs.
type controlled struct {
	path   string // of the split file
	listen string
	log    *output
}

// control runs the controller as a user of the API server, until the test ends.
func control(t *testing.T, s *apiserver.Server, user string, args ...string) *controlled {
	t.Helper()
	c := &controlled{path: filepath.Join(t.TempDir(), "splits.yaml"), listen: freeAddress(t), log: &output{}}
	o, err := parse(append([]string{"-file", c.path, "-kubeconfig", s.Kubeconfig(user), "-listen", c.listen}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, c.log) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(c.log)
		}
	})
	return c
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// has waits until the file has exactly these splits, as NAME: BACKEND=WEIGHT ….
func (c *controlled) has(t *testing.T, want ...string) {
	t.Helper()
	until(t, func() error {
		splits, err := file.Read(c.path)
		if err != nil {
			return err
		}
		var got []string
		for _, name := range slices.Sorted(maps.Keys(splits)) {
			got = append(got, name+":"+weights(splits[name]))
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the file has %q, want %q", got, want)
		}
		return nil
	})
}

func weights(c *config.Config) string {
	var b strings.Builder
	for _, backend := range c.Backends {
		fmt.Fprintf(&b, " %s=%d", backend.Name, backend.Weight)
	}
	return b.String()
}

// get asks the controller's own address until the answer has a text in it.
func (c *controlled) get(t *testing.T, path, want string) {
	t.Helper()
	until(t, func() error {
		answer, err := http.Get("http://" + c.listen + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && !strings.Contains(string(body), want) {
			err = fmt.Errorf("%s: %s\n%s\ndoes not have %q", path, answer.Status, body, want)
		}
		return err
	})
}

// guide is the manifest of Kong's guide, its plugin and its Services.
func guide(t *testing.T) (route *unstructured.Unstructured, others []*unstructured.Unstructured) {
	t.Helper()
	objects, err := apiserver.ReadFile("testdata/gateway-api/01-guide.yaml")
	if err != nil {
		t.Fatal(err)
	}
	route = objects[0]
	annotations := route.GetAnnotations()
	annotations["konghq.com/plugins"] = "traffic-split"
	route.SetAnnotations(annotations)
	return route, manifest(t, `
{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: traffic-split}, plugin: traffic-split}
---
{apiVersion: v1, kind: Service, metadata: {name: echo}, spec: {selector: {app: echo}, ports: [{port: 1027}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: echo2}, spec: {selector: {app: echo2}, ports: [{port: 1027}]}}
`)
}

// guidePatch is the JSON patch of Kong's guide.
const guidePatch = `[
  {"op": "add", "path": "/spec/rules/0/backendRefs/0/weight", "value": 200},
  {"op": "add", "path": "/spec/rules/0/backendRefs/1/weight", "value": 100}
]`

func TestTheGuide(t *testing.T) {
	s, client := installed(t)
	c := control(t, s, apiserver.Admin)
	c.has(t) // an empty file, with which the plugin server starts
	kong := gateway(t, c.path)

	route, others := guide(t)
	apply(t, client, append(others, route)...)
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")
	kong.shares(t, map[string]int{"echo": 1, "echo2": 1}, map[string]int{"echo": 100, "echo2": 100})

	if err := client.Patch(t.Context(), route, guidePatch); err != nil {
		t.Fatal(err)
	}
	c.has(t, "httproute.default.echo.0.0: echo=200 echo2=100")
	kong.shares(t, map[string]int{"echo": 200, "echo2": 100}, map[string]int{"echo": 133, "echo2": 67})
	if strings.Contains(kong.log.String(), "SIGHUP") {
		t.Error("the gateway was reloaded")
	}
}

func TestAnAPIServerThatIsAway(t *testing.T) {
	s, client := installed(t)
	route, others := guide(t)
	apply(t, client, append(others, route)...)
	c := control(t, s, apiserver.Admin)
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")
	c.get(t, "/metrics", `traffic_split_controller_watch_up{kind="HTTPRoute"} 1`)

	s.Stop()
	c.get(t, "/metrics", `traffic_split_controller_watch_up{kind="HTTPRoute"} 0`)
	c.get(t, "/healthz", "HTTPRoutes cannot be read: ")
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")

	again := control(t, s, apiserver.Admin) // one that starts now has nothing to say
	again.get(t, "/readyz", "there is no split file yet")

	s.Serve()
	if err := client.Patch(t.Context(), route, guidePatch); err != nil {
		t.Fatal(err)
	}
	c.has(t, "httproute.default.echo.0.0: echo=200 echo2=100")
	c.get(t, "/metrics", `traffic_split_controller_watch_up{kind="HTTPRoute"} 1`)
	again.has(t, "httproute.default.echo.0.0: echo=200 echo2=100")
	again.get(t, "/readyz", "ok")
}

func TestCustomResourcesThatAppearLater(t *testing.T) {
	s := apiserver.Start(t)
	client := s.Client(apiserver.Admin)
	c := control(t, s, apiserver.Admin)
	c.has(t)
	route, others := guide(t)
	install(t, client)
	apply(t, client, append(others[1:], route)...)
	apply(t, client, others[0]) // the KongPlugin
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")
}

func TestAWrongObjectIsTold(t *testing.T) {
	s, client := installed(t)
	c := control(t, s, apiserver.Admin)
	route, others := guide(t)
	apply(t, client, append(others, route)...)
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")
	apply(t, client, manifest(t, `{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: traffic-split}, plugin: traffic-split, config: {algorithm: best}}`)...)
	c.get(t, "/metrics", `traffic_split_controller_routes{state="wrong"} 1`)
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")
	until(t, func() error {
		events, err := client.Events(t.Context(), "default")
		if err == nil && !strings.Contains(events, `HTTPRoute echo: Warning TrafficSplitWrong: Its last good splits stay in use, and without any its requests get 500: KongPlugin default/traffic-split: config.algorithm: the plugin would refuse this: algorithm: "best" is not one of smooth, random`) {
			err = fmt.Errorf("events: %s", events)
		}
		return err
	})
}

// TestTheRights checks that the RBAC rules of kong/k8s suffice, and that without them it
// is told what is missing.
func TestTheRights(t *testing.T) {
	s, client := installed(t)
	route, others := guide(t)
	apply(t, client, append(others, route)...)
	c := control(t, s, apiserver.Pod)
	c.get(t, "/readyz", `HTTPRoutes cannot be read: httproutes.gateway.networking.k8s.io is forbidden: User "system:serviceaccount:kong:kong-kong" cannot list resource "httproutes"`)
	rbac, err := apiserver.ReadFile("../../kong/k8s/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, client, rbac...)
	c.has(t, "httproute.default.echo.0.0: echo=1 echo2=1")
	if err := client.Delete(t.Context(), others[2]); err != nil { // which an event is about
		t.Fatal(err)
	}
	until(t, func() error {
		events, err := client.Events(t.Context(), "default")
		if err == nil && !strings.Contains(events, "TrafficSplitPartial") {
			err = fmt.Errorf("events: %s", events)
		}
		return err
	})
}

// kong is a Kong, or the stand-in for it, that has the routes which the ingress controller
// would make.
type kong struct {
	proxy, status string
	log           *output
}

// gateway starts Kong, whose executable SPEC_KONG names, or the stand-in; the plugin server
// with a split file; and the guide's backends at addresses of this machine.
func gateway(t *testing.T, splits string) *kong {
	t.Helper()
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/traffic-split", "./cmd/splitctl", "./cmd/echo")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	k := &kong{proxy: freeAddress(t), status: freeAddress(t), log: &output{}}
	startEnv := func(env []string, name string, args ...string) {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Env = env
		cmd.Stdout, cmd.Stderr = k.log, k.log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("%s:\n%s", name, k.log)
			}
		})
	}
	start := func(name string, args ...string) { startEnv(nil, name, args...) }
	// The whole of 127.0.0.0/8 is this machine; so both can have the port of the manifest.
	one, two := fmt.Sprintf("127.18.%d.1", os.Getpid()%250), fmt.Sprintf("127.18.%d.2", os.Getpid()%250)
	start("echo", "-listen", one+":1027", "-name", "echo")
	start("echo", "-listen", two+":1027", "-name", "echo2")
	socket, info := filepath.Join(dir, "s"), filepath.Join(dir, "info.json")
	start("traffic-split", "-supervise=false", "-socket", socket, "-info-file", info, "-file", splits, "-status-listen", k.status)
	until(t, func() error { _, err := os.Stat(info); return err })
	hosts := filepath.Join(dir, "hosts")
	if err := os.WriteFile(hosts, []byte(one+" echo.default.svc.cluster.local\n"+two+" echo2.default.svc.cluster.local\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	declarative, err := filepath.Abs("testdata/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(),
		"KONG_DATABASE=off", "KONG_DECLARATIVE_CONFIG="+declarative, "KONG_DNS_HOSTSFILE="+hosts, "KONG_PREFIX="+filepath.Join(dir, "prefix"),
		"KONG_PROXY_LISTEN="+k.proxy, "KONG_ADMIN_LISTEN=off", "KONG_ADMIN_GUI_LISTEN=off", "KONG_STATUS_LISTEN=off", "KONG_ANONYMOUS_REPORTS=off",
		"KONG_NGINX_WORKER_PROCESSES=2", "KONG_PLUGINS=traffic-split", "KONG_PLUGINSERVER_NAMES=traffic-split",
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET="+socket, "KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD=cat "+info)
	if u, err := user.Current(); err == nil && u.Uid == "0" { // nginx's workers may use the socket then
		env = append(env, "KONG_NGINX_USER="+u.Username)
	}
	if path := os.Getenv("SPEC_KONG"); path != "" {
		for _, command := range []string{"start", "stop"} {
			run := func() {
				cmd := exec.Command(path, command)
				cmd.Env = append(env, "KONG_ROUTER_FLAVOR=traditional") // as the chart has it; the stand-in has not
				cmd.Stdout, cmd.Stderr = k.log, k.log
				if err := cmd.Run(); err != nil {
					t.Fatalf("kong %s: %v\n%s", command, err, k.log)
				}
			}
			if command == "start" {
				run()
			} else {
				t.Cleanup(run)
			}
		}
	} else {
		startEnv(env, "splitctl", "standin")
	}
	until(t, func() error {
		c, err := net.Dial("tcp", k.proxy)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	return k
}

// shares waits until the plugin server has the weights, of the file that it watches. Then it
// sends 200 requests, and compares who has answered; where in the rotation they begin
// makes a difference of one.
func (k *kong) shares(t *testing.T, weights, want map[string]int) {
	t.Helper()
	until(t, func() error {
		if _, err := k.ask(); err != nil {
			return err
		}
		now, err := k.weights()
		if err != nil {
			return err
		}
		if !maps.Equal(now, weights) {
			return fmt.Errorf("weights in use are %v", now)
		}
		return nil
	})
	got := map[string]int{}
	for range 200 {
		name, err := k.ask()
		if err != nil {
			t.Fatal(err)
		}
		got[name]++
	}
	for name, n := range want {
		if d := got[name] - n; d < -1 || d > 1 || len(got) != len(want) {
			t.Errorf("shares of 200 requests: %v, want %v", got, want)
		}
	}
}

func (k *kong) ask() (string, error) {
	answer, err := http.Get("http://" + k.proxy + "/echo/hostname")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return string(body), err
}

func (k *kong) weights() (map[string]int, error) {
	answer, err := http.Get("http://" + k.status + "/status")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var status struct {
		Splits []struct {
			Backends []struct {
				Name   string
				Weight int
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return nil, err
	}
	all := map[string]int{}
	for _, split := range status.Splits {
		for _, b := range split.Backends {
			all[b.Name] = b.Weight
		}
	}
	return all, nil
}
