package gateway

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testPorts = []int{8001, 8002, 8003}

func TestContestantsAreChosenByName(t *testing.T) {
	for _, tt := range []struct {
		cases string
		want  []string
	}{
		{"", Names()},
		{"^ours", []string{"plain", "ours0", "ours1", "ours2"}},
		{"plain", []string{"plain"}},
		{"lua|1", []string{"plain", "lua", "stock1", "ours1"}},
	} {
		var got []string
		for _, c := range matching(contestants(testPorts), regexp.MustCompile(tt.cases)) {
			got = append(got, c.name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", tt.cases, diff)
		}
	}
	if Matches(regexp.MustCompile("nobody")) {
		t.Error("nobody is a contestant")
	}
}

// Each contestant has a route of its own, and answers whose shares are whole.
func TestDeclarative(t *testing.T) {
	all := contestants(testPorts)
	text, err := declarative(all, testPorts)
	if err != nil {
		t.Fatal(err)
	}
	type plugin struct{ Name string }
	var got struct {
		Services []struct {
			Name, Host string
			Port       int
			Routes     []struct {
				Paths   []string
				Plugins []plugin
			}
		}
		Upstreams []struct{ Targets []struct{ Target string } }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i, s := range got.Services {
		sum := 0.
		for _, share := range all[i].answers {
			sum += share
		}
		lines = append(lines, fmt.Sprintf("%s %s:%d %v %v %.1f", s.Name, s.Host, s.Port, s.Routes[0].Paths, s.Routes[0].Plugins, sum))
	}
	want := `plain 127.0.0.1:8001 [/plain] [] 1.0
native native:80 [/native] [] 1.0
lua 127.0.0.1:8001 [/lua] [{post-function}] 1.0
stock0 127.0.0.1:8001 [/stock0] [{bench-stock}] 1.0
stock1 127.0.0.1:8001 [/stock1] [{bench-stock}] 1.0
stock2 127.0.0.1:8001 [/stock2] [{bench-stock}] 1.0
ours0 127.0.0.1:8001 [/ours0] [{traffic-split}] 1.0
ours1 127.0.0.1:8001 [/ours1] [{traffic-split}] 1.0
ours2 127.0.0.1:8001 [/ours2] [{traffic-split}] 1.0
everything 127.0.0.1:8001 [/everything] [{traffic-split}] 1.0
mirror 127.0.0.1:8001 [/mirror] [{traffic-split}] 1.0
hanging 127.0.0.1:8001 [/hanging] [{traffic-split}] 1.0`
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if targets := got.Upstreams[0].Targets; len(targets) != 2 || targets[0].Target != "127.0.0.1:8001" {
		t.Errorf("native's targets are %v", targets)
	}
}

func TestRequest(t *testing.T) {
	c := contestant{name: "ours0"}
	request := string(c.request("127.0.0.1:8000", "session=x"))
	for _, line := range []string{"GET /ours0/orders HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n", "\r\nX-Debug: 1\r\n", "\r\nCookie: session=x\r\n\r\n"} {
		if !strings.Contains(request, line) {
			t.Errorf("%q is not in %q", line, request)
		}
	}
	if first := string(c.request("127.0.0.1:8000", "")); strings.Contains(first, "Cookie") || !strings.HasSuffix(first, "\r\n\r\n") {
		t.Errorf("without a cookie it is %q", first)
	}
}

func TestCheck(t *testing.T) {
	c := contestant{answers: map[string]float64{"a": .9, "b": .1}}
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{200, "b", "<nil>"},
		{503, "no backend", "status 503: no backend"},
		{200, "c", `the backend answered "c", which is none of ["a" "b"]`},
	} {
		if got := c.check(&response{status: tt.status, body: []byte(tt.body)}); fmt.Sprint(got) != tt.want {
			t.Errorf("%d %q: got %v, want %s", tt.status, tt.body, got, tt.want)
		}
	}
}

func TestSharesHold(t *testing.T) {
	shares := map[string]float64{"a": .9, "b": .1}
	for _, tt := range []struct {
		a, b int
		want string
	}{
		{90000, 10000, "<nil>"},
		{88100, 11900, "<nil>"},
		{30, 34, "<nil>"}, // too few to say
		{87900, 12100, `of 100000 requests, 87900 were answered with "a"; 90000 were due`},
		{100000, 0, `of 100000 requests, 100000 were answered with "a"; 90000 were due`},
	} {
		if got := sharesHold(shares, map[string]int{"a": tt.a, "b": tt.b}); fmt.Sprint(got) != tt.want {
			t.Errorf("%d : %d: got %v, want %s", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestBackendConfig(t *testing.T) {
	config := backendConfig(testPorts[:2])
	for _, server := range []string{
		`server { listen 127.0.0.1:8001; location / { return 200 "a $http_host $uri variant=$http_x_variant debug=$http_x_debug"; } }`,
		`server { listen 127.0.0.1:8002; location / { return 200 "b $http_host`,
	} {
		if !strings.Contains(config, server) {
			t.Errorf("%q is not in\n%s", server, config)
		}
	}
	if n := strings.Count(config, "listen"); n != 2 || slices.Contains(strings.Fields(config), "80;") {
		t.Errorf("%d places to listen at in\n%s", n, config)
	}
}
