package plugin_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/config"
)

// onRoute is what Kong adds to the config of a row that is on a route.
const onRoute = `"__plugin_id":"p1","__seq__":3,"route_id":"r1","plugin_instance_name":"p1",`

// web is a plain route of a plain Service.
func web() *kong {
	return &kong{
		route:   map[string]any{"name": "web", "preserve_host": false},
		service: map[string]any{"id": "s", "protocol": "http", "host": "web.internal"},
		host:    "shop.example:8000",
		uri:     "/base/cart",
		text:    map[string]string{},
		ctx:     proxied,
	}
}

func TestWhatKongIsTold(t *testing.T) {
	tests := []struct {
		name   string
		config string
		kong   func(*kong)
		want   []string
	}{
		{
			name:   "a host on the scheme's own port needs no Host of its own",
			config: `"backends":[{"host":"a.internal"}]`,
			want:   []string{"service.set_target a.internal 80"},
		},
		{
			name:   "the route's own Service",
			config: `"log_decision":true,"backends":[{"service":true,"request_headers":{"set":{"X-A":"1"}}}]`,
			want: []string{
				"service.request.set_headers X-A=1",
				`log.set_serialize_value traffic_split={"backend":"service","reason":"weight","revision":"REVISION"}`,
			},
		},
		{
			name:   "another port is part of the Host",
			config: `"backends":[{"host":"a.internal","port":8080}]`,
			want: []string{
				"service.set_target a.internal 8080",
				"service.request.set_header Host=a.internal:8080",
			},
		},
		{
			name:   "port 80 on an https Service is not the scheme's own",
			config: `"backends":[{"host":"a.internal","port":80}]`,
			kong:   func(k *kong) { k.service["protocol"] = "https" },
			want: []string{
				"service.set_target a.internal 80",
				"service.request.set_header Host=a.internal:80",
			},
		},
		{
			name:   "https changes the scheme and the default port",
			config: `"backends":[{"host":"a.internal","protocol":"https"}]`,
			want: []string{
				"service.set_target a.internal 443",
				"service.request.set_scheme https",
			},
		},
		{
			name:   "a scheme that the Service has already is not set again",
			config: `"backends":[{"host":"a.internal","protocol":"http"}]`,
			want:   []string{"service.set_target a.internal 80"},
		},
		{
			name:   "an IPv6 address stands in brackets",
			config: `"backends":[{"host":"::1"}]`,
			want:   []string{"service.set_target [::1] 80"},
		},
		{
			name:   "an IPv6 address stands in brackets, the port behind them",
			config: `"backends":[{"host":"::1","port":81}]`,
			want: []string{
				"service.set_target [::1] 81",
				"service.request.set_header Host=[::1]:81",
			},
		},
		{
			name:   "a route that preserves the host sends the client's",
			config: `"backends":[{"host":"a.internal"}]`,
			kong:   func(k *kong) { k.route["preserve_host"] = true },
			want: []string{
				"service.set_target a.internal 80",
				"service.request.set_header Host=shop.example:8000",
			},
		},
		{
			name:   "a client's Host of any bytes passes",
			config: `"backends":[{"host":"a.internal","host_header":"preserve"}]`,
			kong:   func(k *kong) { k.host = "caf\xe9.example" },
			want: []string{
				"service.set_target a.internal 80",
				"service.request.set_header Host=caf\xe9.example",
			},
		},
		{
			name:   "a literal Host",
			config: `"backends":[{"host":"a.internal","host_header":"b.example"}]`,
			kong:   func(k *kong) { k.route["preserve_host"] = true },
			want: []string{
				"service.set_target a.internal 80",
				"service.request.set_header Host=b.example",
			},
		},
		{
			name:   "an Upstream, whose Host is Kong's business",
			config: `"backends":[{"upstream":"up"}]`,
			want:   []string{"service.set_upstream up"},
		},
		{
			name:   "an Upstream that is to see the client's Host",
			config: `"backends":[{"upstream":"up","host_header":"preserve"}]`,
			want: []string{
				"service.set_upstream up",
				"service.request.set_header Host=shop.example:8000",
			},
		},
		{
			name:   "a path goes before the one that Kong computed",
			config: `"backends":[{"upstream":"up","path":"/v2/"}]`,
			want: []string{
				"service.set_upstream up",
				"service.request.set_path /v2/base/cart",
			},
		},
		{
			name:   "a path of any bytes passes",
			config: `"backends":[{"upstream":"up","path":"/v2"}]`,
			kong:   func(k *kong) { k.uri = "/\xff" },
			want: []string{
				"service.set_upstream up",
				"service.request.set_path /v2/\xff",
			},
		},
		{
			name: "headers",
			config: `"backends":[{"upstream":"up",
				"request_headers":{"set":{"X-A":"1"},"remove":["X-B"],"add":{"X-C":"2"}},
				"response_headers":{"add":{"X-D":"3"}}}],
				"response_header":"X-Backend"`,
			want: []string{
				"service.set_upstream up",
				"service.request.set_headers X-A=1",
				"service.request.set_headers X-B=[]",
				"service.request.add_header X-C=2",
				"response.add_header X-D=3",
				"response.set_header X-Backend=up",
			},
		},
		{
			name:   "the decision for log plugins",
			config: `"backends":[{"upstream":"up","name":"stable"}],"log_decision":true`,
			want: []string{
				"service.set_upstream up",
				`log.set_serialize_value traffic_split={"backend":"stable","reason":"weight","revision":"REVISION"}`,
			},
		},
		{
			name:   "a fallback takes the share of an Upstream that Kong does not know",
			config: `"backends":[{"upstream":"nope"},{"upstream":"up","weight":0}],"on_unavailable":"fallback","fallback":"up"`,
			want:   []string{"service.set_upstream nope", "service.set_upstream up"},
		},
		{
			name:   "the others take it with redistribute",
			config: `"backends":[{"upstream":"nope"},{"upstream":"gone"},{"upstream":"up"}],"on_unavailable":"redistribute"`,
			want:   []string{"service.set_upstream nope", "service.set_upstream gone", "service.set_upstream up"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := web()
			k.upstreams = []string{"up"}
			if tt.kong != nil {
				tt.kong(k)
			}
			if err := k.access(t, start(t, plugin.New(options), onRoute+tt.config)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, withoutRevision(k.told)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		config  string
		kong    func(*kong)
		status  int // 0: 500
		message string
		reason  string
	}{
		{
			name:    "an unknown Upstream",
			config:  `"backends":[{"upstream":"nope","name":"canary"}]`,
			message: "No backend is available for this request",
			reason:  `no Upstream named "nope" in Kong (create it, or mend the name): backend unavailable: "canary" cannot be used, and on_unavailable is "fail"`,
		},
		{
			name:    "nobody left",
			config:  `"backends":[{"upstream":"nope"},{"upstream":"gone"}],"on_unavailable":"redistribute"`,
			message: "No backend is available for this request",
			reason:  `no Upstream named "gone" in Kong (create it, or mend the name): backend unavailable: "gone" cannot be used, nor can "nope"`,
		},
		{
			name:    "all weights zero",
			config:  `"backends":[{"upstream":"up","weight":0}]`,
			message: "No backend is available for this request",
			reason:  `no backend takes traffic: one of "up" has to have a weight above 0`,
		},
		{
			name:    "a call of gRPC, for which 500 would be an error of the server's own",
			config:  `"backends":[{"upstream":"up","weight":0}]`,
			kong:    func(k *kong) { k.service["protocol"] = "grpcs" },
			status:  503,
			message: "No backend is available for this request",
			reason:  `no backend takes traffic: one of "up" has to have a weight above 0`,
		},
		{
			name:    "a Service with an IP address and a backend with a name",
			config:  `"backends":[{"host":"a.internal"}]`,
			kong:    func(k *kong) { k.service["host"] = "10.0.0.7" },
			message: "The traffic split of this route is not configured correctly",
			reason:  `backend "a.internal:80": the Service's host is the IP address 10.0.0.7, and this Kong's balancer_data is not that of Kong 3.9, by which requests go over from there to a name or an Upstream: it lacks all that is known of it: give the Service a host name (it need not resolve)`,
		},
		{
			name:    "the same and an Upstream, where a Kong has another table",
			config:  `"backends":[{"upstream":"up"}]`,
			kong:    func(k *kong) { k.service["host"] = "10.0.0.7"; k.balancer(map[string]any{"tries": nil, "port": "80"}) },
			message: "The traffic split of this route is not configured correctly",
			reason:  `backend "up": the Service's host is the IP address 10.0.0.7, and this Kong's balancer_data is not that of Kong 3.9, by which requests go over from there to a name or an Upstream: it lacks port, tries: give the Service a host name (it need not resolve)`,
		},
		{
			name:    "timeouts, where a Kong has another table",
			config:  `"backends":[{"service":true,"timeouts":{"read":1}}]`,
			kong:    func(k *kong) { k.balancer(map[string]any{"send_timeout": nil}) },
			message: "The traffic split of this route is not configured correctly",
			reason:  `backend "service": this Kong's balancer_data is not that of Kong 3.9, by which timeouts and retries of a backend are set: it lacks send_timeout: leave them out`,
		},
		{
			name:    "a protocol on a gRPC Service",
			config:  `"backends":[{"host":"a.internal","protocol":"https"}]`,
			kong:    func(k *kong) { k.service["protocol"] = "grpc" },
			message: "The traffic split of this route is not configured correctly",
			reason:  `backend "a.internal:443": protocol https: Kong cannot change the protocol of a grpc Service: leave it out`,
		},
		{
			name:    "a path on a gRPC Service",
			config:  `"backends":[{"host":"a.internal","path":"/v2"}]`,
			kong:    func(k *kong) { k.service["protocol"] = "grpcs" },
			message: "The traffic split of this route is not configured correctly",
			reason:  `backend "a.internal:80": path /v2: Kong cannot change the path on a grpcs Service: leave it out`,
		},
		{
			name:    "no backends and no split files",
			config:  `"algorithm":"smooth"`,
			message: "The traffic split of this route is not configured correctly",
			reason:  `the config has no backends, and the server has no split files: set backends, or start the server with -file`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := web()
			k.upstreams = []string{"up"}
			if tt.kong != nil {
				tt.kong(k)
			}
			err := k.access(t, start(t, plugin.New(options), onRoute+tt.config))
			var refusal interface {
				error
				Status() int
				Message() string
			}
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, want a refusal", err)
			}
			status := max(tt.status, 500)
			if refusal.Status() != status || refusal.Message() != tt.message || refusal.Error() != tt.reason {
				t.Errorf("got %d %q because of\n%s\nwant %d %q because of\n%s",
					refusal.Status(), refusal.Message(), refusal.Error(), status, tt.message, tt.reason)
			}
		})
	}
}

func TestWhatIsAskedAndWhen(t *testing.T) {
	two := `"backends":[{"host":"a.internal","port":8080}]`
	tests := []struct {
		name   string
		config string
		want   []string // of three requests together
	}{
		{"an Upstream on a Service with a name", onRoute + `"backends":[{"upstream":"up"}]`, []string{"service"}},
		{"whether there is one, to an address with a Host of its own", onRoute + `"backends":[{"host":"10.0.0.1","host_header":"a"}]`, []string{"service"}},
		{"on a Service that goes without saying", `"service_id":"s1","plugin_instance_name":"n","backends":[{"host":"10.0.0.1","host_header":"a"}]`, nil},
		{"on a route the answers are kept", onRoute + two, []string{"service", "route"}},
		{"on a Service only those about it", `"service_id":"s1",` + two, []string{"service", "route", "route", "route"}},
		{"elsewhere none", two, []string{"service", "route", "service", "route", "service", "route"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := web()
			k.upstreams = []string{"up"}
			i := start(t, plugin.New(options), tt.config)
			for range 3 {
				if err := k.access(t, i); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, k.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitsFromFiles(t *testing.T) {
	splits := map[string]*config.Config{
		"web":  mustConfig(t, `{"backends":[{"upstream":"by-route"}]}`),
		"team": mustConfig(t, `{"backends":[{"upstream":"by-name"}]}`),
	}
	tests := []struct {
		name   string
		config string
		want   []string
		reason string
	}{
		{name: "by the route's name", config: onRoute + `"algorithm":"smooth"`, want: []string{"service.set_upstream by-route"}},
		{name: "by the row's split", config: onRoute + `"split":"team"`, want: []string{"service.set_upstream by-name"}},
		{name: "a name that is not there, on a route", config: onRoute + `"split":"taem"`, reason: `no split named "taem" in the split files: add it, or set backends`},
		{name: "a name that is not there, everywhere", config: `"split":"taem"`},
		{name: "everywhere, by the route's name", config: `"algorithm":"smooth"`, want: []string{"service.set_upstream by-route"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := plugin.New(options)
			p.SetSplits(splits)
			k := web()
			k.upstreams = []string{"by-route", "by-name"}
			err := k.access(t, start(t, p, tt.config))
			if tt.reason != "" {
				if err == nil || err.Error() != tt.reason {
					t.Errorf("got %v, want %s", err, tt.reason)
				}
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, k.told); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// A row that is not on a route meets Services and routes of several kinds, each of which
// makes another Host.
func TestHostIsOfTheRequest(t *testing.T) {
	i := start(t, plugin.New(options), `"backends":[{"host":"a.internal","port":443,"request_headers":{"set":{"X-A":"1"}}}]`)
	for _, tt := range []struct {
		protocol string
		preserve bool
		host     string // the client's
		want     string
	}{
		{"http", false, "one.example", "Host=a.internal:443"},
		{"https", false, "one.example", ""}, // as set_target leaves it
		{"http", true, "one.example", "Host=one.example"},
		{"http", true, "two.example", "Host=two.example"},
		{"http", false, "two.example", "Host=a.internal:443"},
	} {
		k := web()
		k.host, k.route["preserve_host"], k.service["protocol"] = tt.host, tt.preserve, tt.protocol
		if err := k.access(t, i); err != nil {
			t.Fatal(err)
		}
		want := []string{"service.set_target a.internal 443", "service.request.set_headers X-A=1"}
		if tt.want != "" {
			want = slices.Insert(want, 1, "service.request.set_headers "+tt.want)
		}
		if diff := cmp.Diff(want, k.told); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt, diff)
		}
	}
}
