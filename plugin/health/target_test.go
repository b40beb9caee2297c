package health

import (
	"testing"
	"time"
)

func TestDefaults(t *testing.T) {
	got := Target{Host: "a", Port: 8080, Path: "/"}.normal()
	want := Target{
		Host: "a", Port: 8080, Protocol: HTTP, Path: "/", HostHeader: "a:8080",
		Interval: 5 * time.Second, Timeout: time.Second, Healthy: 2, Unhealthy: 3,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if again := got.normal(); again != got {
		t.Errorf("a normal target changes: %+v", again)
	}
}

func TestTargetsThatAreProbedAlike(t *testing.T) {
	for _, same := range [][2]Target{
		{{Host: "::1", Port: 1}, {Host: "[::1]", Port: 1}},
		{{Host: "a", Port: 1, Protocol: HTTPS}, {Host: "a", Port: 1, Protocol: TCP}},
		{{Host: "a", Port: 1, HostHeader: "x"}, {Host: "a", Port: 1}},
		{{Host: "a", Port: 1, Protocol: "tls", Path: "/"}, {Host: "a", Port: 1, Protocol: TCP}},
		{{Host: "a", Port: 1, Path: "/"}, {Host: "a", Port: 1, Path: "/", HostHeader: "a:1"}},
		{{Host: "a", Port: 1, Timeout: -1, Healthy: -1}, {Host: "a", Port: 1, Timeout: time.Second, Healthy: 2}},
	} {
		if a, b := same[0].normal(), same[1].normal(); a != b {
			t.Errorf("%+v is not %+v", a, b)
		}
	}
}

func TestNamesAndHosts(t *testing.T) {
	for _, tt := range []struct {
		target     Target
		host, name string
	}{
		{Target{Host: "a.example", Port: 80, Path: "/"}, "a.example", "http://a.example:80/"},
		{Target{Host: "a.example", Port: 443, Path: "/"}, "a.example:443", "http://a.example:443/"},
		{Target{Host: "a.example", Port: 443, Path: "/", Protocol: HTTPS}, "a.example", "https://a.example:443/"},
		{Target{Host: "::1", Port: 80, Path: "/x?y"}, "[::1]", "http://[::1]:80/x?y"},
		{Target{Host: "[::1]", Port: 81, Path: "/"}, "[::1]:81", "http://[::1]:81/"},
		{Target{Host: "a", Port: 80, Path: "/", HostHeader: "b"}, "b", "http://a:80/ (Host: b)"},
		{Target{Host: "a", Port: 80}, "", "tcp://a:80"},
	} {
		if host := tt.target.normal().HostHeader; host != tt.host {
			t.Errorf("%+v: got Host %s, want %s", tt.target, host, tt.host)
		}
		if name := tt.target.String(); name != tt.name {
			t.Errorf("got %s, want %s", name, tt.name)
		}
	}
}
