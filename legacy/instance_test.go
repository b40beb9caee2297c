package main

import (
	"testing"

	pdk "github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/bridge"

	"kong-traffic-split/plugin/split"
)

// TestOneState: instances of a row share the state that has their weights, the
// old ones of a row that is changing too.
func TestOneState(t *testing.T) {
	weights := func(a, b int) *split.Split {
		return &split.Split{Backends: []split.Backend{{Name: "a", Weight: a}, {Name: "b", Weight: b}}}
	}
	r := rows{byKey: map[string]*row{}}
	old := r.state("k", weights(1, 1))
	if r.state("k", weights(2, 2)) != old {
		t.Error("the same proportions have another state")
	}
	changed := r.state("k", weights(2, 1))
	if changed == old {
		t.Error("other weights have the same state")
	}
	if r.state("k", weights(1, 1)) != old {
		t.Error("a worker that is late has a state of its own")
	}
	if r.state("k", weights(2, 1)) != changed {
		t.Error("the worker after it does not have the newest state")
	}
	if r.state("other", weights(2, 1)) == changed {
		t.Error("another row has the same state")
	}
	if one := r.state("", weights(1, 1)); one == r.state("", weights(1, 1)) {
		t.Error("rows without a key share a state")
	}
}

// TestPanic: a panic would end the process of all Go plugins.
func TestPanic(t *testing.T) {
	calls := make(chan any)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&Plugin{instance: &instance{}}).Access(pdk.Init(calls))
	}()
	if got := (<-calls).(bridge.StepData).Method; got != "kong.log.err" {
		t.Errorf("Kong is told %s", got)
	}
	calls <- nil
	exit := (<-calls).(bridge.StepData)
	if exit.Method != "kong.response.exit" || exit.Args[0] != 500 {
		t.Errorf("Kong is told %v", exit)
	}
	<-done
}

func TestNormal(t *testing.T) {
	for path, want := range map[string]string{
		"": "", "/": "/", "/a": "/a", "/a/": "/a/", "//a//b": "/a/b", "/a/.": "/a/", "/a/./b": "/a/b",
		"/a/..": "/", "/a/b/..": "/a/", "/../a": "/a", "/%61/%2e%2E/b": "/b", "/a%2fb": "/a%2Fb", "/a...": "/a...",
	} {
		if got := normal(path); got != want {
			t.Errorf("normal(%q) is %q, want %q", path, got, want)
		}
	}
}
