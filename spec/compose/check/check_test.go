// Package check reads docker-compose.yml, kong/Dockerfile, .dockerignore and
// kong/kong.yml with the parsers of compose and BuildKit and asserts that they
// are valid, agree with each other, and keep to what the project promises. It
// is a module of its own, as those parsers have large dependency trees, and
// needs no Docker engine.
package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

// root is the project's folder.
const root = "../../.."

// load reads docker-compose.yml as compose does, against the schema of the
// Compose Specification, with nothing from this machine's environment.
func load(t *testing.T, env []string, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{root + "/docker-compose.yml"},
		cli.WithWorkingDirectory(root), cli.WithName("check"), cli.WithEnv(env), cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// everything is the project with all its services.
func everything(t *testing.T) *types.Project {
	t.Helper()
	return load(t, nil, "managed", "observability")
}

func TestServices(t *testing.T) {
	beside := []string{"echo", "echo2", "kong", "traffic-split"}
	for _, c := range []struct {
		profiles, want []string
	}{
		{nil, beside},
		{[]string{"managed"}, []string{"echo", "echo2", "kong", "kong-managed", "traffic-split"}},
		{[]string{"observability"}, []string{"echo", "echo2", "grafana", "kong", "prometheus", "traffic-split"}},
	} {
		if diff := cmp.Diff(c.want, load(t, nil, c.profiles...).ServiceNames()); diff != "" {
			t.Errorf("profiles %q (-want +got)\n%s", c.profiles, diff)
		}
	}
}

// Beside Kong, its image is the stock one and nobody builds one.
func TestImageOfKong(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "kong:3.9"},
		{[]string{"KONG_IMAGE=kong/kong-gateway:3.10"}, "kong/kong-gateway:3.10"},
	} {
		services := load(t, c.env, "managed").Services
		if kong := services["kong"]; kong.Image != c.want || kong.Build != nil {
			t.Errorf("kong: image %q, build %+v; want %q and none", kong.Image, kong.Build, c.want)
		}
		if from := services["kong-managed"].Build.Args["KONG_IMAGE"]; from == nil || *from != c.want {
			t.Errorf("kong-managed is built from %v, want %q", from, c.want)
		}
	}
}

// The environment may move a port, not open it to the network.
func TestPortsAreOnTheLoopback(t *testing.T) {
	moved := []string{
		"PROXY_PORT=80", "ADMIN_PORT=81", "MANAGED_PROXY_PORT=82", "MANAGED_ADMIN_PORT=83",
		"STATUS_PORT=84", "PROMETHEUS_PORT=85", "GRAFANA_PORT=86",
	}
	for _, c := range []struct {
		env  []string
		want map[string]string
	}{
		{nil, map[string]string{
			"8000": "kong 8000", "8001": "kong 8001", "9000": "kong-managed 8000", "9001": "kong-managed 8001",
			"8007": "traffic-split 8007", "9090": "prometheus 9090", "3000": "grafana 3000",
		}},
		{moved, map[string]string{
			"80": "kong 8000", "81": "kong 8001", "82": "kong-managed 8000", "83": "kong-managed 8001",
			"84": "traffic-split 8007", "85": "prometheus 9090", "86": "grafana 3000",
		}},
	} {
		got := map[string]string{}
		for name, s := range load(t, c.env, "managed", "observability").Services {
			for _, p := range s.Ports {
				if p.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s is published on %q, not on 127.0.0.1", name, p.Published, p.HostIP)
				}
				got[p.Published] = name + " " + strconv.Itoa(int(p.Target))
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestContainersCanDoLittle(t *testing.T) {
	for name, s := range everything(t).Services {
		if !s.ReadOnly {
			t.Errorf("%s may write to its root", name)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges: security_opt %q", name, s.SecurityOpt)
		}
		if s.Privileged || len(s.CapAdd) > 0 || s.NetworkMode != "" || s.Pid != "" || s.Ipc != "" || s.User != "" {
			t.Errorf("%s has more than it needs: privileged %t, cap_add %q, network_mode %q, pid %q, ipc %q, user %q",
				name, s.Privileged, s.CapAdd, s.NetworkMode, s.Pid, s.Ipc, s.User)
		}
		if ours := !strings.HasPrefix(name, "kong"); ours && !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s keeps capabilities: cap_drop %q", name, s.CapDrop)
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !v.ReadOnly {
				t.Errorf("%s may write to %s of the host", name, v.Source)
			}
		}
	}
}

// Every service says when it is healthy, and nobody starts before those that
// it needs are.
func TestOrderOfStart(t *testing.T) {
	needs := map[string][]string{}
	for name, s := range everything(t).Services {
		needs[name] = slices.Sorted(maps.Keys(s.DependsOn))
		for other, d := range s.DependsOn {
			if d.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s starts when %s is %q", name, other, d.Condition)
			}
		}
		if h := s.HealthCheck; h == nil || len(h.Test) == 0 || h.Timeout == nil || h.Interval == nil || h.Retries == nil {
			t.Errorf("%s has no whole health check: %+v", name, h)
		}
	}
	want := map[string][]string{
		"echo": nil, "echo2": nil, "traffic-split": nil,
		"kong": {"echo", "echo2", "traffic-split"}, "kong-managed": {"echo", "echo2"},
		"prometheus": {"traffic-split"}, "grafana": {"prometheus"},
	}
	if diff := cmp.Diff(want, needs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What docker-compose 1.29, which Debian has, does not know at the top level;
// inside of services it refuses on its own.
func TestKnownToOldCompose(t *testing.T) {
	for key := range rawCompose(t) {
		if key != "services" && key != "volumes" && !strings.HasPrefix(key, "x-") {
			t.Errorf("docker-compose 1.29 does not know %q, or newer ones warn about it", key)
		}
	}
}
