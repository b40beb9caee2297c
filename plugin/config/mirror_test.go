package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/split"
)

func TestProblemsOfMirrors(t *testing.T) {
	for _, tt := range []struct{ parameters, want string }{
		{`"mirror": [{}]`, `mirror[0]: has none of backend, host; it needs one`},
		{`"mirror": [{"backend": "v1", "host": "a"}]`, `mirror[0]: has backend and host; keep one of them`},
		{`"mirror": [{"backend": "v3"}]`, `mirror[0].backend: "v3" is not the name of a backend; did you mean "v1"?`},
		{`"mirror": [{"backend": "v1", "port": 80}]`, `mirror[0].port: goes with host only; the backend has its own`},
		{`"mirror": [{"backend": "v1", "protocol": "http"}]`, `mirror[0].protocol: goes with host only; the backend has its own`},
		{`"mirror": [{"backend": "v1", "host_header": "a"}]`, `mirror[0].host_header: goes with host only; the backend has its own`},
		{`"mirror": [{"host": "c", "path": "/v2"}]`, `mirror[0]: unknown key "path"; give the path to a backend of weight 0, and name that in backend`},
		{`"mirror": [{"upstream": "c"}]`, `mirror[0]: unknown key "upstream"; copies do not go through Kong; give host and port`},
		{`"mirror": [{"host": "c", "weight": 1}]`, `mirror[0]: unknown key "weight"; how many of the requests are copied is their percent`},
		{`"mirror": [{"host": "http://c"}]`, `mirror[0].host: "http://c" must not be a URL; its parts go into protocol, host, port and path`},
		{`"mirror": [{"host": "c", "percent": 100.5}]`, `mirror[0].percent: 100.5 is not in 0..100`},
		{`"mirror": [{"host": "c", "percent": 0.001}]`, `mirror[0].percent: 0.001 has more than 2 decimals`},
		{`"mirror": [{"host": "c", "percent": 5, "fraction": {"numerator": 1}}]`, `mirror[0]: has percent and fraction; keep one of them`},
		{`"mirror": [{"host": "c", "fraction": {"numerator": 101}}]`, `mirror[0].fraction.numerator: 101 is more than the denominator, 100: no request is copied twice`},
		{
			`"mirror": [{"host": "c", "fraction": {"denominator": 0}}]`,
			`mirror[0].fraction.denominator: 0 is not in 1..2147483647
mirror[0].fraction.numerator: is required: how many requests of the denominator are copied`,
		},
		{`"mirror": [{"host": "c", "sources": ["v3"]}]`, `mirror[0].sources[0]: "v3" is not the name of a backend; did you mean "v1"?`},
		{
			`"mirror": [{"backend": "v1", "sources": ["v2", "v1", "v2"]}]`,
			`mirror[0].sources[1]: "v1" is the shadow itself, which has its own requests already; leave it out
mirror[0].sources[2]: "v2" is sources[0] already; keep one`,
		},
		{`"mirror": [{"host": "c", "sources": [1]}]`, `mirror[0].sources[0]: expected a string, not 1; write it in quotes`},
		{`"mirror": [{"host": "c", "max_body": -1}]`, `mirror[0].max_body: -1 is not in 0..8388608`},
		{
			`"mirror": [{"host": "c", "request_headers": {"set": {"Host": "x"}, "remove": ["x-shadow"]}}]`,
			`mirror[0].request_headers.set.Host: "Host" must not be among these; use host_header
mirror[0].request_headers.remove[0]: "x-shadow" must not be among these: it marks copies, so that they are not copied again`,
		},
		{
			`"mirror": [{"host": "c", "request_headers": {"set": {"X-A": "1", "x-a": "2"}, "remove": ["X-A"]}}]`,
			`mirror[0].request_headers.set.x-a: is the same header as "X-A"; keep one
mirror[0].request_headers.remove[0]: "X-A" is set as well; set alone replaces what the client sent`,
		},
		{`"backends": [{"service": true}, {"host": "a"}], "mirror": [{"backend": "service"}]`, `mirror[0].backend: "service" is no host, and copies do not go through Kong: give its host and port here`},
		{`"backends": [{"upstream": "u"}, {"host": "a"}], "mirror": [{"backend": "u"}]`, `mirror[0].backend: "u" is no host, and copies do not go through Kong: give its host and port here`},
		{`"backends": [{"host": "a"}], "mirror": [{"backend": "a:80"}]`, `mirror[0].backend: "a:80" gets all requests anyway, and is not to get each twice; name another`},
		{`"mirror": [{"backend": "v1"}, {"host": "c"}, {"host": "c", "port": 80, "percent": 5}]`, `mirror[2]: is the same shadow as mirror[1]; keep one`},
		{`"mirror": [{"backend": "v1"}, {"host": "a"}]`, `mirror[1]: is the same shadow as mirror[0]; keep one`},
		{
			`"backends": [{"host": "a", "name": "c:80"}, {"host": "b"}], "mirror": [{"host": "c"}, {"backend": "c:80"}]`,
			`mirror[1]: is the same shadow as mirror[0]; keep one`,
		},
		{
			`"mirror": [{"host": "a1"}, {"host": "a2"}, {"host": "a3"}, {"host": "a4"}, {"host": "a5"}, {"host": "a6"}, {"host": "a7"}, {"host": "a8"}, {"host": "a9"}]`,
			`mirror: has 9 elements; at most 8 are allowed`,
		},
	} {
		_, err := FromKong([]byte(withTwo(tt.parameters)))
		problems, _ := err.(Problems)
		if diff := cmp.Diff(tt.want, lines(problems)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.parameters, diff)
		}
	}
}

func TestMirrors(t *testing.T) {
	c, err := FromKong([]byte(`{
		"backends": [{"host": "a"}, {"host": "b", "name": "next", "path": "/v2", "weight": 0, "request_headers": {"set": {"X-Env": "next"}}}, {"name": "x", "host": "x", "replace_path": "/x"}],
		"mirror": [{"backend": "next", "percent": 12.34}, {"host": "::1", "protocol": "https", "host_header": "preserve", "max_body": 0}, {"host": "c", "sources": ["x"], "fraction": {"numerator": 1, "denominator": 3}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []split.Mirror{{Name: "next", Sources: 0b101, Part: 1234, Whole: 10000}, {Name: "[::1]:443", Sources: 0b111, Part: 1, Whole: 1}, {Name: "c:80", Sources: 0b100, Part: 1, Whole: 3}}
	if diff := cmp.Diff(want, c.Compile("id").Mirrors); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if c.Mirror[0].MaxBody != 1<<20 || c.Mirror[1].MaxBody != 0 {
		t.Errorf("got %d and %d bytes", c.Mirror[0].MaxBody, c.Mirror[1].MaxBody)
	}
	if diff := cmp.Diff(c.Backends[1], c.Shadow(0)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	shadow := Backend{Name: "[::1]:443", Host: "::1", Port: 443, Protocol: "https", HostHeader: "preserve"}
	if diff := cmp.Diff(shadow, c.Shadow(1)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if c.NeedsHTTP() != "backends[1].path, backends[1].request_headers, backends[2].replace_path, mirror" {
		t.Error(c.NeedsHTTP())
	}
}
