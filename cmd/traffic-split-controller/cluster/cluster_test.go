package cluster

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// TestNotFound: 404 means that there is no such kind where the API server says which there
// are, and this one is none of them. From whatever else is at its address it is an error, so
// that no split is taken to be gone.
func TestNotFound(t *testing.T) {
	const groups = `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"gateway.networking.k8s.io","versions":[{"groupVersion":"gateway.networking.k8s.io/v1","version":"v1"}]}]}`
	const resources = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"gateway.networking.k8s.io/v1","resources":[{"name":"httproutes","kind":"HTTPRoute","namespaced":true}]}`
	for _, tt := range []struct {
		name    string
		answers map[string]string // by the path; all else is 404
		absent  map[string]bool
		failed  map[string]string
	}{
		{"a proxy", nil, nil, map[string]string{HTTPRoute: "is this the address of an API server?", KongPlugin: "is this the address of an API server?", Service: "could not find"}},
		{"an API server without our kinds", map[string]string{"/apis": groups, "/apis/gateway.networking.k8s.io/v1": resources}, map[string]bool{GRPCRoute: true, ReferenceGrant: true, KongPlugin: true, KongClusterPlugin: true}, map[string]string{HTTPRoute: "although it serves this kind", Service: "could not find"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if answer, ok := tt.answers[r.URL.Path]; ok {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, answer)
					return
				}
				http.NotFound(w, r)
			}))
			defer server.Close()
			config := &rest.Config{Host: server.URL}
			client, err := dynamic.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			api, err := discovery.NewDiscoveryClientForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			c, err := New(client, api, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); c.Run(ctx) }()
			defer func() { cancel(); <-ended }()
			right := func() bool {
				for _, w := range c.Watches() {
					if w.Absent != tt.absent[w.Kind] {
						return false
					}
					if want := tt.failed[w.Kind]; want != "" && (w.Err == nil || !strings.Contains(w.Err.Error(), want)) {
						return false
					}
				}
				return true
			}
			for deadline := time.Now().Add(20 * time.Second); !right(); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%+v", c.Watches())
				}
			}
			if c.Synced() {
				t.Error("all is said to be read")
			}
		})
	}
}
