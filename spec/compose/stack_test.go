package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A stack is the project's compose file under a name of its own, on free ports
// of the loopback.
type stack struct {
	*engine
	project    string
	prometheus string // its image; empty: there is none
}

// newStack makes the images of a stack and takes everything away when the test
// ends.
func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{engine: findEngine(t), project: fmt.Sprintf("traffic-split-spec-%d", os.Getpid())}
	// Port 0 is a free one, another one at each start.
	s.env = append(s.env, "PROXY_PORT=0", "ADMIN_PORT=0", "MANAGED_PROXY_PORT=0", "MANAGED_ADMIN_PORT=0", "STATUS_PORT=0", "PROMETHEUS_PORT=0", "GRAFANA_PORT=0")
	s.env = append(s.env, "KONG_IMAGE="+s.makeImages(t))
	if s.prometheus = s.makePrometheus(t); s.prometheus != "" {
		s.env = append(s.env, "PROMETHEUS_IMAGE="+s.prometheus)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := s.do(context.Background(), "logs", "--no-color", "--tail", "50")
			t.Logf("the containers' last words:\n%s", text)
		}
		s.down(t)
	})
	return s
}

// do runs a command of compose.
func (s *stack) do(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, slices.Concat(s.compose, []string{"-p", s.project, "--profile", "managed", "--profile", "observability"}, args)...)
}

// must runs a command of compose that has to work.
func (s *stack) must(t *testing.T, args ...string) {
	t.Helper()
	if _, err := s.do(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// down takes the stack away, with its volumes.
func (s *stack) down(t *testing.T) {
	t.Helper()
	if _, err := s.do(context.Background(), "down", "--volumes", "--timeout", "10"); err != nil {
		t.Error(err)
	}
}

// label is on everything that compose has made for the stack.
func (s *stack) label() string { return "label=com.docker.compose.project=" + s.project }

// clean runs docker at a test's end, when its context is over.
func (s *stack) clean(t *testing.T, args ...string) {
	t.Helper()
	if _, err := s.docker(context.Background(), args...); err != nil {
		t.Error(err)
	}
}

// A container is what docker inspect tells, as far as the tests ask.
type container struct {
	ID           string
	RestartCount int
	Config       struct{ User string }
	State        struct {
		Status    string
		Pid       int
		StartedAt time.Time
		Health    struct {
			Status string
			Log    []struct {
				End      time.Time
				ExitCode int
				Output   string
			}
		}
	}
	HostConfig struct {
		ReadonlyRootfs bool
		Privileged     bool
		CapDrop        []string
		SecurityOpt    []string
	}
	NetworkSettings struct {
		Ports map[string][]struct{ HostIP, HostPort string }
	}
}

// inspect returns a service's only container, whether it runs or not.
func (s *stack) inspect(t *testing.T, service string) container {
	t.Helper()
	// Not compose's ps: docker is many times faster, and this is asked often.
	id, err := s.docker(t.Context(), "ps", "--all", "--quiet", "--filter", s.label(), "--filter", "label=com.docker.compose.service="+service)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.docker(t.Context(), "inspect", strings.TrimSpace(id))
	if err != nil {
		t.Fatal(err)
	}
	var found []container
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
		t.Fatalf("docker inspect %s: %d containers, %v", service, len(found), err)
	}
	return found[0]
}

// awaitHealthy returns when a service's health check says so.
func (s *stack) awaitHealthy(t *testing.T, service string) container {
	t.Helper()
	var last container
	await(t, service+" to be healthy", func() bool {
		last = s.inspect(t, service)
		return last.State.Health.Status == "healthy"
	})
	return last
}

func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !happened(); time.Sleep(pause) {
		if time.Now().After(until) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// sh runs a line of shell in a service's container.
func (s *stack) sh(t *testing.T, service, line string) (string, error) {
	t.Helper()
	out, err := s.docker(t.Context(), "exec", s.inspect(t, service).ID, "sh", "-c", line)
	return strings.TrimSpace(out), err
}

// address is where a service's port is published now.
func (s *stack) address(t *testing.T, service, port string) string {
	t.Helper()
	published := s.inspect(t, service).NetworkSettings.Ports[port+"/tcp"]
	if len(published) != 1 {
		t.Fatalf("port %s of %s is published at %+v", port, service, published)
	}
	return net.JoinHostPort(published[0].HostIP, published[0].HostPort)
}

// get asks with a connection of its own, as each of the guide's curls does.
func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// awaitAnswer waits until the route through a service's Kong is answered so.
func (s *stack) awaitAnswer(t *testing.T, service string, status int) {
	t.Helper()
	url := "http://" + s.address(t, service, "8000") + "/echo/hostname"
	await(t, fmt.Sprintf("an answer %d from %s", status, service), func() bool {
		got, _, err := get(t, url)
		return err == nil && got == status
	})
}

// counts sends n of the guide's requests and counts the answers.
func (s *stack) counts(t *testing.T, service string, n int) map[string]int {
	t.Helper()
	url := "http://" + s.address(t, service, "8000") + "/echo/hostname?iteration="
	counts := map[string]int{}
	for i := range n {
		status, body, err := get(t, fmt.Sprint(url, i+1))
		if err != nil || status != http.StatusOK {
			body = fmt.Sprintf("%d %s %v", status, body, err)
		}
		counts[body]++
	}
	return counts
}
