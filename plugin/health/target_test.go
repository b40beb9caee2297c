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

// What is saved of a target is saved for all that ask the same of it, and for no other.
func TestKeys(t *testing.T) {
	base := Target{Host: "a", Port: 80, Protocol: HTTP, Path: "/"}
	key := base.Key()
	if want := `http://a:80"/" "a"`; key != want {
		t.Errorf("got %s, want %s", key, want)
	}
	for name, test := range map[string]struct {
		edit func(*Target)
		same bool
	}{
		"nothing":     {func(*Target) {}, true},
		"a default":   {func(t *Target) { t.HostHeader, t.Timeout = "a", time.Second }, true},
		"interval":    {func(t *Target) { t.Interval = time.Minute }, true},
		"timeout":     {func(t *Target) { t.Timeout = time.Minute }, true},
		"healthy":     {func(t *Target) { t.Healthy = 7 }, true},
		"unhealthy":   {func(t *Target) { t.Unhealthy = 7 }, true},
		"host":        {func(t *Target) { t.Host = "b" }, false},
		"port":        {func(t *Target) { t.Port = 81 }, false},
		"protocol":    {func(t *Target) { t.Protocol = HTTPS }, false},
		"a connect":   {func(t *Target) { t.Path = "" }, false},
		"path":        {func(t *Target) { t.Path = "/healthz" }, false},
		"host header": {func(t *Target) { t.HostHeader = "b" }, false},
		"odd path":    {func(t *Target) { t.Path = `/" "b` }, false},
	} {
		edited := base
		test.edit(&edited)
		if same := edited.Key() == key; same != test.same {
			t.Errorf("%s: got %s beside %s", name, edited.Key(), key)
		}
	}
}
