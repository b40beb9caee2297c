package controller

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
	"kong-traffic-split/cmd/traffic-split-controller/splits"
	"kong-traffic-split/plugin/file"
)

// objects are a cluster that a test changes.
type objects struct {
	mu      sync.Mutex
	all     map[string]*unstructured.Unstructured
	unknown bool
	version int
	changed chan struct{}
}

func (o *objects) Get(kind, namespace, name string) *unstructured.Unstructured {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[kind+" "+namespace+"/"+name]
}

func (o *objects) List(kind string) (all []*unstructured.Unstructured) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, u := range o.all {
		if strings.HasPrefix(key, kind+" ") {
			all = append(all, u)
		}
	}
	return all
}

func (o *objects) Changed() <-chan struct{} { return o.changed }
func (o *objects) Watches() []cluster.Watch { return nil }
func (o *objects) Synced() bool             { o.mu.Lock(); defer o.mu.Unlock(); return !o.unknown }
func (o *objects) set(known bool)           { o.mu.Lock(); o.unknown = !known; o.mu.Unlock(); o.notify() }
func (o *objects) delete(keys ...string) {
	o.mu.Lock()
	for _, k := range keys {
		delete(o.all, k)
	}
	o.mu.Unlock()
	o.notify()
}

func (o *objects) notify() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

func (o *objects) apply(t *testing.T, documents ...string) {
	t.Helper()
	o.mu.Lock()
	for _, d := range documents {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(d), &u.Object); err != nil {
			t.Fatal(err)
		}
		o.version++
		u.SetResourceVersion(fmt.Sprint(o.version))
		o.all[u.GetKind()+" "+u.GetNamespace()+"/"+u.GetName()] = u
	}
	o.mu.Unlock()
	o.notify()
}

// told are the events.
type told struct {
	mu  sync.Mutex
	all []string
}

func (e *told) Event(_ runtime.Object, kind, reason, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, kind+" "+reason+": "+message)
}

func (e *told) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := strings.Join(e.all, "\n")
	e.all = nil
	return all
}

const (
	service = `{apiVersion: v1, kind: Service, metadata: {name: one, namespace: web}, spec: {ports: [{port: 80}]}}`
	plugin  = `{apiVersion: configuration.konghq.com/v1, kind: KongPlugin, metadata: {name: split, namespace: web}, plugin: traffic-split}`
)

// route is an HTTPRoute of web with one backend.
func route(name string, weight int, more string) string {
	return fmt.Sprintf(`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: %s, namespace: web, annotations: {konghq.com/plugins: split}}, spec: {parentRefs: [{name: kong}], rules: [{backendRefs: [{name: one, port: 80, weight: %d}]%s}]}}`, name, weight, more)
}

// controlled is a controller that runs, and what there is of it.
type controlled struct {
	*objects
	*Controller
	events *told
	log    *bytes.Buffer
}

// in runs a test in a bubble, with a controller that ends at its end.
func in(t *testing.T, path string, test func(t *testing.T, c controlled)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, err := Open(path)
		if err != nil {
			t.Log(err)
		}
		c := controlled{
			objects: &objects{all: map[string]*unstructured.Unstructured{}, changed: make(chan struct{}, 1)},
			events:  &told{}, log: &bytes.Buffer{},
		}
		c.Controller = &Controller{
			Cluster: c.objects, Maker: splits.NewMaker(splits.Options{ClusterDomain: "cluster.local"}), File: f, Events: c.events,
			Log: slog.New(slog.NewTextHandler(c.log, nil)), Linger: time.Minute,
		}
		done := make(chan struct{})
		ctx := t.Context()
		go func() { defer close(done); c.Run(ctx) }()
		test(t, c)
		t.Cleanup(func() { <-done })
	})
}

// weights are what is in the file: the weight of each split's backend.
func (c controlled) weights(t *testing.T) string {
	t.Helper()
	time.Sleep(2 * time.Second) // in the bubble: until the changes rest
	synctest.Wait()
	all, err := file.Read(c.File.Path)
	if err != nil {
		return err.Error()
	}
	var got []string
	for _, name := range sortedNames(c.File.Splits()) {
		got = append(got, fmt.Sprintf("%s=%v", strings.TrimPrefix(name, "httproute.web."), all[name].Backends[0].Weight))
	}
	return strings.Join(got, " ")
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheFileFollowsTheRoutes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	in(t, path, func(t *testing.T, c controlled) {
		expect(t, c.weights(t), "")
		c.apply(t, service, plugin, route("a", 1, ""), route("b", 2, ""))
		expect(t, c.weights(t), "a.0.0=1 b.0.0=2")
		c.apply(t, route("a", 7, ""))
		expect(t, c.weights(t), "a.0.0=7 b.0.0=2")
	})
}

func TestAnUnchangedFileIsNotWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	in(t, path, func(t *testing.T, c controlled) {
		c.apply(t, service, plugin, route("a", 1, ""))
		c.weights(t)
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		c.apply(t, service, route("a", 1, "")) // a new version of the same
		c.weights(t)
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !os.SameFile(before, after) {
			t.Error("the file was replaced")
		}
	})
}

func TestADeletedRouteLingers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	in(t, path, func(t *testing.T, c controlled) {
		c.apply(t, service, plugin, route("a", 1, ""), route("b", 2, ""))
		c.weights(t)
		c.delete("HTTPRoute web/b")
		expect(t, c.weights(t), "a.0.0=1 b.0.0=2")
		time.Sleep(time.Minute)
		expect(t, c.weights(t), "a.0.0=1")
	})
	in(t, path, func(t *testing.T, c controlled) { // nor is it gone because the controller starts again
		c.apply(t, service, plugin)
		expect(t, c.weights(t), "a.0.0=1")
		c.apply(t, route("a", 3, ""))
		time.Sleep(2 * time.Minute)
		expect(t, c.weights(t), "a.0.0=3")
	})
}

func TestBeforeAllIsKnownTheFileStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	in(t, path, func(t *testing.T, c controlled) {
		c.apply(t, service, plugin, route("a", 1, ""))
		expect(t, c.weights(t), "a.0.0=1")
	})
	in(t, path, func(t *testing.T, c controlled) {
		c.set(false)
		time.Sleep(10 * time.Minute)
		expect(t, c.weights(t), "a.0.0=1")
		if err := c.Ready(); err != nil {
			t.Errorf("with a file from before: %v", err)
		}
		c.apply(t, service, plugin, route("a", 5, ""))
		c.set(true)
		expect(t, c.weights(t), "a.0.0=5")
	})
}

func TestNotReadyWithoutAFile(t *testing.T) {
	in(t, filepath.Join(t.TempDir(), "splits.yaml"), func(t *testing.T, c controlled) {
		c.set(false)
		if err := c.Ready(); err == nil {
			t.Error("it is ready without a file, so that the plugin server would be started without one")
		}
		c.set(true)
		expect(t, c.weights(t), "")
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestAWrongRouteKeepsItsLastGoodSplits(t *testing.T) {
	in(t, filepath.Join(t.TempDir(), "splits.yaml"), func(t *testing.T, c controlled) {
		c.apply(t, service, plugin, route("a", 1, ""), route("b", 2, ""))
		c.weights(t)
		expect(t, c.events.take(), "")
		c.apply(t, route("a", 9, ", novelty: true"), route("b", 3, ""))
		expect(t, c.weights(t), "a.0.0=1 b.0.0=3") // the other one goes on
		events := c.events.take()
		if !strings.HasPrefix(events, "Warning TrafficSplitWrong: ") || !strings.Contains(events, "novelty") {
			t.Errorf("events: %s", events)
		}
		if !strings.Contains(c.log.String(), "a route is wrong; its last good splits stay in use, and without any its requests get 500") {
			t.Errorf("log: %s", c.log)
		}
		c.notify()
		c.weights(t)
		expect(t, c.events.take(), "") // it is told once
		c.apply(t, route("a", 9, ""))
		expect(t, c.weights(t), "a.0.0=9 b.0.0=3")
		expect(t, c.events.take(), "Normal TrafficSplitConverted: Its weights are in effect.")
	})
}

func TestAKongPluginThatAppearsLater(t *testing.T) {
	in(t, filepath.Join(t.TempDir(), "splits.yaml"), func(t *testing.T, c controlled) {
		c.apply(t, service, route("a", 1, ""))
		expect(t, c.weights(t), "")
		c.apply(t, plugin)
		expect(t, c.weights(t), "a.0.0=1")
	})
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "volume")
	in(t, filepath.Join(folder, "splits.yaml"), func(t *testing.T, c controlled) {
		c.apply(t, service, plugin, route("a", 1, ""))
		c.weights(t)
		if !strings.Contains(c.log.String(), "the split file cannot be written; the last one stays in use") {
			t.Errorf("log: %s", c.log)
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * retry) // and no change of an object
		expect(t, c.weights(t), "a.0.0=1")
	})
}

func TestAMessageOfManyProblemsIsCut(t *testing.T) {
	r := splits.Route{Wrong: true}
	for range 100 {
		r.Problems = append(r.Problems, strings.Repeat("ä", 30))
	}
	message := messageOf(r)
	if len(message) > maxMessage || !strings.HasSuffix(message, "; and 84 more") {
		t.Errorf("%d bytes: %s", len(message), message)
	}
}
