package plugin_test

import (
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// A row is shown under a name that people know, once it is known, and under its id
// before.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		name  string
		place string // what Kong adds to the config
		kong  *kong
		want  string
		asked []string // for the name
	}{
		{"its own", `"plugin_instance_name":"mine","route_id":"r1"`, web(), "mine", nil},
		{"the route's", `"route_id":"r1","service_id":"s1"`, web(), "web", []string{"route"}},
		{"a route without a name", `"route_id":"r1"`, &kong{}, "p1", []string{"route"}},
		{"the Service's", `"service_id":"s1","consumer_id":"c1"`, &kong{service: map[string]any{"id": "s1", "name": "shop"}}, "shop", []string{"service"}},
		{"the consumer's", `"consumer_id":"c1"`, &kong{consumer: &kong_plugin_protocol.Consumer{Username: "ann"}}, "ann", []string{"client.get_consumer"}},
		{"one that is no UTF-8", `"consumer_id":"c1"`, &kong{text: map[string]string{"client.get_consumer": "\x0a\x01\xff"}}, "p1", []string{"client.get_consumer"}},
		{"one that is no text", `"consumer_id":"c1"`, &kong{consumer: &kong_plugin_protocol.Consumer{Username: "a\x1b[2J\n\u202eb c"}}, "a\ufffd[2J\ufffd\ufffdb c", []string{"client.get_consumer"}},
		{"everywhere", `"route_id":null`, web(), "p1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := plugin.New(options)
			i := start(t, p, `"__plugin_id":"p1",`+tt.place+`,"backends":[{"service":true}]`)
			known := tt.want
			if tt.asked != nil {
				known = "p1"
			}
			if got := p.Status(time.Now())[0].Split; got != known {
				t.Errorf("before a request: %q, want %q", got, known)
			}
			for range 2 {
				if err := tt.kong.access(t, i); err != nil {
					t.Fatal(err)
				}
			}
			if s := p.Status(time.Now())[0]; s.Split != tt.want || s.ID != "p1" {
				t.Errorf("it is %q with the id %q, want %q", s.Split, s.ID, tt.want)
			}
			if diff := cmp.Diff(tt.asked, tt.kong.asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// No two splits are shown under one name, which metrics could not tell apart: those in
// the split files keep theirs.
func TestNamesThatAreAlike(t *testing.T) {
	p := plugin.New(options)
	p.SetSplits(map[string]*config.Config{"shop": mustConfig(t, `{"backends":[{"host":"10.0.0.1"}]}`)})
	for _, row := range []string{`"__plugin_id":"p1","plugin_instance_name":"shop"`, `"__plugin_id":"p2","plugin_instance_name":"pair"`, `"__plugin_id":"p3","plugin_instance_name":"pair"`, `"__plugin_id":"p4","plugin_instance_name":"one"`} {
		start(t, p, row+`,"backends":[{"host":"10.0.0.1"}]`)
	}
	var got []string
	for _, s := range p.Status(time.Now()) {
		got = append(got, s.Split)
	}
	if diff := cmp.Diff([]string{"one", "pair (p2)", "pair (p3)", "shop", "shop (p1)"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The name stays with what counts in the row, and changes with the first request to the
// next config.
func TestNameOfALaterConfig(t *testing.T) {
	p := plugin.New(options)
	const row = `"__plugin_id":"p1","route_id":"r1","backends":[{"host":"10.0.0.1"}]`
	shown := func(want string) {
		t.Helper()
		if got := p.Status(time.Now())[0].Split; got != want {
			t.Errorf("it is %q, want %q", got, want)
		}
	}
	if err := web().access(t, start(t, p, row)); err != nil {
		t.Fatal(err)
	}
	later := start(t, p, row)
	shown("web")
	k := web()
	k.route["name"] = "renamed"
	if err := k.access(t, later); err != nil {
		t.Fatal(err)
	}
	shown("renamed")
}
