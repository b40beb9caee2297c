package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	socket   = "/run/traffic-split/traffic-split.socket"
	infoFile = "/run/traffic-split/traffic-split.json"
)

// First the plugin server in a container beside Kong's, then, beside both, an
// image in which Kong starts it.
func TestCompose(t *testing.T) {
	s := newStack(t)
	s.must(t, "up", "--detach", "--no-build", "kong")
	for _, step := range []struct {
		name string
		run  func(*stack, *testing.T)
	}{
		{"Kong starts when the plugin server is healthy", (*stack).startsInOrder},
		{"the containers can do little", (*stack).canDoLittle},
		{"ports are published on the loopback", (*stack).publishesOnLoopback},
		{"Kong may connect and not write", (*stack).sharesSocket},
		{"requests are shared out", (*stack).sharesOut},
		{"Kong is restarted", (*stack).restartsKong},
		{"the plugin server is restarted", (*stack).restartsServer},
		{"the plugin server is down for a while", (*stack).stopsServer},
		{"the plugin server is killed and started again", (*stack).killsServer},
		{"the plugin server crashes", (*stack).crashesServer},
		{"Kong starts a plugin server of its own", (*stack).managedByKong},
		{"Prometheus watches the plugin server", (*stack).watchedByPrometheus},
		{"nothing is left", (*stack).leavesNothing},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(s, t) }) {
			return // the next ones begin where this one should have ended
		}
	}
}

// The dump has to be there before Kong reads it.
func (s *stack) startsInOrder(t *testing.T) {
	kong := s.inspect(t, "kong")
	for _, service := range []string{"traffic-split", "echo", "echo2"} {
		log := s.inspect(t, service).State.Health.Log
		healthy := false
		for _, check := range log {
			healthy = healthy || check.ExitCode == 0 && !check.End.After(kong.State.StartedAt)
		}
		if !healthy {
			t.Errorf("kong started at %v, and %s was not healthy before: %+v", kong.State.StartedAt, service, log)
		}
	}
	s.awaitHealthy(t, "kong")
	s.awaitAnswer(t, "kong", http.StatusOK)
}

func (s *stack) canDoLittle(t *testing.T) {
	for _, service := range []string{"traffic-split", "echo", "echo2"} {
		s.canDo(t, service, []string{"ALL"})
	}
	s.canDo(t, "kong", nil)
}

// canDo checks what a service may do but for the capabilities that it drops.
func (s *stack) canDo(t *testing.T, service string, drops []string) {
	t.Helper()
	c := s.inspect(t, service)
	if user, _, _ := strings.Cut(c.Config.User, ":"); user == "" || user == "root" || user == "0" {
		t.Errorf("%s runs as %q", service, c.Config.User)
	}
	if !c.HostConfig.ReadonlyRootfs || c.HostConfig.Privileged {
		t.Errorf("%s: read-only %t, privileged %t", service, c.HostConfig.ReadonlyRootfs, c.HostConfig.Privileged)
	}
	if diff := cmp.Diff([]string{"no-new-privileges:true"}, c.HostConfig.SecurityOpt); diff != "" {
		t.Errorf("%s: security options (-want +got)\n%s", service, diff)
	}
	if diff := cmp.Diff(drops, c.HostConfig.CapDrop); diff != "" {
		t.Errorf("%s: dropped capabilities (-want +got)\n%s", service, diff)
	}
}

func (s *stack) publishesOnLoopback(t *testing.T) {
	for _, service := range []string{"echo", "echo2"} {
		s.publishes(t, service)
	}
	s.publishes(t, "traffic-split", "8007/tcp on 127.0.0.1")
	s.publishes(t, "kong", "8000/tcp on 127.0.0.1", "8001/tcp on 127.0.0.1")
	for port, path := range map[string]string{"8000": "/echo/", "8001": "/plugins"} {
		if status, body, err := get(t, "http://"+s.address(t, "kong", port)+path); status != http.StatusOK || err != nil {
			t.Errorf("%s on %s: %d %s, %v", path, port, status, body, err)
		}
	}
}

// publishes checks which of a service's ports are open where.
func (s *stack) publishes(t *testing.T, service string, want ...string) {
	t.Helper()
	var got []string
	for port, bindings := range s.inspect(t, service).NetworkSettings.Ports {
		for _, b := range bindings {
			got = append(got, port+" on "+b.HostIP)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: published (-want +got)\n%s", service, diff)
	}
}

// Kong's user owns nothing of the volume, and its group neither.
func (s *stack) sharesSocket(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"stat -c '%A %u:%g' " + socket, "srw-rw---- 65532:65532"},
		{"stat -c '%A %u:%g' " + infoFile, "-rw-r--r-- 65532:65532"},
		{"stat -c '%A %u:%g' /run/traffic-split", "drwxr-xr-x 65532:65532"},
		{"test $(id -u) != 65532 && test $(id -g) != 65532 && echo another", "another"},
		{"touch /run/traffic-split/x 2>/dev/null || echo refused", "refused"},
		{"rm -f " + socket + " 2>/dev/null || echo refused", "refused"},
	} {
		if got, err := s.sh(t, "kong", c.line); got != c.want {
			t.Errorf("%s prints %q, %v; want %q", c.line, got, err, c.want)
		}
	}
}

func (s *stack) sharesOut(t *testing.T) { s.sharesEvenly(t, "kong") }

// sharesEvenly checks the guide's first step.
func (s *stack) sharesEvenly(t *testing.T, service string) {
	t.Helper()
	if diff := cmp.Diff(map[string]int{"echo": 100, "echo2": 100}, s.counts(t, service, 200)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func (s *stack) restartsKong(t *testing.T) {
	s.must(t, "restart", "kong")
	s.awaitAnswer(t, "kong", http.StatusOK)
	s.sharesEvenly(t, "kong")
}

// Kong's workers still ask for instances of the old process.
func (s *stack) restartsServer(t *testing.T) {
	s.must(t, "restart", "traffic-split")
	s.awaitHealthy(t, "traffic-split")
	s.sharesEvenly(t, "kong")
}

// Kong has no way to let a request pass without the plugin.
func (s *stack) stopsServer(t *testing.T) {
	s.must(t, "stop", "traffic-split")
	s.awaitAnswer(t, "kong", http.StatusInternalServerError)
	if got, err := s.sh(t, "kong", "test -e "+socket+" || echo gone"); got != "gone" {
		t.Errorf("the server has left its socket behind: %q, %v", got, err)
	}
	s.must(t, "start", "traffic-split")
	s.awaitHealthy(t, "traffic-split")
	s.sharesEvenly(t, "kong")
}

func (s *stack) killsServer(t *testing.T) {
	s.must(t, "kill", "traffic-split")
	if got, err := s.sh(t, "kong", "test -S "+socket+" && echo there"); got != "there" {
		t.Fatalf("a server that is killed cannot remove its socket, but: %q, %v", got, err)
	}
	s.must(t, "start", "traffic-split")
	s.awaitHealthy(t, "traffic-split")
	s.awaitAnswer(t, "kong", http.StatusOK)
	s.sharesEvenly(t, "kong")
}

// The engine starts a server that ends on its own.
func (s *stack) crashesServer(t *testing.T) {
	before := s.inspect(t, "traffic-split")
	name, err := os.ReadFile("/proc/" + strconv.Itoa(before.State.Pid) + "/comm")
	if err != nil || strings.TrimSpace(string(name)) != "traffic-split" || os.Geteuid() != 0 {
		t.Skip("to crash the server the test has to be root on the engine's machine")
	}
	if err := syscall.Kill(before.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the engine to start the server again", func() bool {
		c := s.inspect(t, "traffic-split")
		return c.RestartCount > before.RestartCount && c.State.Health.Status == "healthy"
	})
	s.awaitAnswer(t, "kong", http.StatusOK)
	s.sharesEvenly(t, "kong")
}

// The two Kongs run at the same time, each with a plugin server of its own.
func (s *stack) managedByKong(t *testing.T) {
	s.must(t, "up", "--detach", "--no-build", "kong-managed")
	s.awaitHealthy(t, "kong-managed")
	s.canDo(t, "kong-managed", nil)
	s.publishes(t, "kong-managed", "8000/tcp on 127.0.0.1", "8001/tcp on 127.0.0.1")
	const line = "test $(stat -c %u /var/run/kong/traffic-split.socket) = $(id -u) && echo own"
	if got, err := s.sh(t, "kong-managed", line); got != "own" {
		t.Errorf("Kong's user does not own the socket: %q, %v", got, err)
	}
	s.sharesEvenly(t, "kong-managed")
	s.sharesEvenly(t, "kong")
}

// Prometheus has the alerts, and the figures of the plugin server, which does well.
func (s *stack) watchedByPrometheus(t *testing.T) {
	if s.prometheus == "" {
		t.Skip("no prometheus and promtool on this machine; Debian has both in the package prometheus")
	}
	s.must(t, "up", "--detach", "--no-build", "prometheus")
	s.awaitHealthy(t, "prometheus")
	s.canDo(t, "prometheus", []string{"ALL"})
	s.publishes(t, "prometheus", "9090/tcp on 127.0.0.1")
	s.sharesEvenly(t, "kong")
	for query, want := range map[string]string{
		`up{job="traffic-split"}`: "1",
		`count(traffic_split_requests_total{split="echo",reason="weight"} >= 100)`: "2",
	} {
		await(t, query+" to be "+want, func() bool { return s.query(t, query) == want })
	}
	// What is wrong now, if it were for as long as the alerts ask for.
	if got := s.query(t, `count(ALERTS{alertname=~"TrafficSplit.*"})`); got != "" {
		_, all, _ := get(t, "http://"+s.address(t, "prometheus", "9090")+"/api/v1/alerts")
		t.Errorf("alerts: %s", all)
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health string }
			}
		}
	}
	_, text, err := get(t, "http://"+s.address(t, "prometheus", "9090")+"/api/v1/rules?type=alert")
	if err := errors.Join(err, json.Unmarshal([]byte(text), &rules)); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, g := range rules.Data.Groups {
		for _, r := range g.Rules {
			found++
			if r.Health == "err" {
				t.Errorf("%s cannot be computed", r.Name)
			}
		}
	}
	if found < 20 {
		t.Errorf("Prometheus has %d alerts", found)
	}
}

// query is the value that Prometheus computes, empty where there is none.
func (s *stack) query(t *testing.T, expr string) string {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	status, text, err := get(t, "http://"+s.address(t, "prometheus", "9090")+"/api/v1/query?query="+url.QueryEscape(expr))
	if err := errors.Join(err, json.Unmarshal([]byte(text), &answer)); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", expr, status, text, err)
	}
	if len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

func (s *stack) leavesNothing(t *testing.T) {
	s.down(t)
	for _, list := range [][]string{{"ps", "--all"}, {"volume", "ls"}, {"network", "ls"}} {
		left, err := s.docker(t.Context(), append(list, "--quiet", "--filter", s.label())...)
		if err != nil || left != "" {
			t.Errorf("docker %s: %q, %v", strings.Join(list, " "), left, err)
		}
	}
}
