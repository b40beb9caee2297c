package check

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// Server and Kong meet at one socket and one info file, in the volume that
// they share, and nowhere near Kong's prefix: Kong's image removes the sockets
// that it finds there.
func TestKongFindsTheServer(t *testing.T) {
	services := everything(t).Services
	kong, server := services["kong"], services["traffic-split"]
	socket, info := flagOf(t, server.Command, "-socket"), flagOf(t, server.Command, "-info-file")
	want := map[string]string{
		"KONG_PLUGINSERVER_NAMES":                   "traffic-split",
		"KONG_PLUGINS":                              "bundled,traffic-split",
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET":    socket,
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD": "cat " + info,
	}
	checkEnvironment(t, kong, want, "KONG_PLUGINSERVER_TRAFFIC_SPLIT_START_CMD")
	if asked := flagOf(t, types.ShellCommand(server.HealthCheck.Test), "-socket"); asked != socket {
		t.Errorf("the health check asks at %s, and the server listens on %s", asked, socket)
	}
	for _, file := range []string{socket, info} {
		here, there := mountOf(t, server, file), mountOf(t, kong, file)
		if here.Source != there.Source || here.Target != there.Target || here.Type != types.VolumeTypeVolume {
			t.Errorf("%s is in %+v of the server and in %+v of Kong", file, here, there)
		}
		if here.ReadOnly || !there.ReadOnly {
			t.Errorf("%s: the server has to be able to write (read-only %t), and Kong not (read-only %t)", file, here.ReadOnly, there.ReadOnly)
		}
		if prefix := *kong.Environment["KONG_PREFIX"]; strings.HasPrefix(file, prefix+"/") {
			t.Errorf("%s is in Kong's prefix %s", file, prefix)
		}
	}
}

// What the server saves is in a volume that is its own, and not in memory.
func TestStateOutlivesTheContainer(t *testing.T) {
	project := everything(t)
	mount := mountOf(t, project.Services["traffic-split"], flagOf(t, project.Services["traffic-split"].Command, "-state"))
	if mount.Type != types.VolumeTypeVolume || mount.ReadOnly || len(project.Volumes[mount.Source].DriverOpts) > 0 {
		t.Errorf("it is in %+v", mount)
	}
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Source == mount.Source && name != "traffic-split" {
				t.Errorf("%s has it too", name)
			}
		}
	}
}

func TestKongManagesTheServer(t *testing.T) {
	kong := everything(t).Services["kong-managed"]
	executable := copied(t, stage(t, "kong"), "/out/traffic-split").DestPath
	prefix := *kong.Environment["KONG_PREFIX"]
	checkEnvironment(t, kong, map[string]string{
		"KONG_PLUGINSERVER_NAMES":                   "traffic-split",
		"KONG_PLUGINS":                              "bundled,traffic-split",
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_START_CMD": executable + " -takeover -kong-prefix " + prefix,
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD": executable + " -dump",
	}, "KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET") // by default in the prefix, for both
	want := "kong health && traffic-split -healthcheck -kong-prefix " + prefix
	if got := kong.HealthCheck.Test; !slices.Equal(got, []string{"CMD-SHELL", want}) {
		t.Errorf("the health check is %q, want %q", got, want)
	}
}

// Two Kongs share nothing that either writes to.
func TestKongsHavePrefixesOfTheirOwn(t *testing.T) {
	project := everything(t)
	seen := map[string]string{}
	for _, name := range []string{"kong", "kong-managed"} {
		s := project.Services[name]
		mount := mountOf(t, s, *s.Environment["KONG_PREFIX"]+"/x")
		if other, taken := seen[mount.Source]; taken {
			t.Errorf("%s and %s share %s", name, other, mount.Source)
		}
		seen[mount.Source] = name
		options := map[string]string(project.Volumes[mount.Source].DriverOpts)
		if diff := cmp.Diff(map[string]string{"type": "tmpfs", "device": "tmpfs"}, options); diff != "" {
			t.Errorf("%s: the prefix is not in memory (-want +got)\n%s", name, diff)
		}
		config := *s.Environment["KONG_DECLARATIVE_CONFIG"]
		mount = mountOf(t, s, config)
		if _, err := os.Stat(path.Join(mount.Source, strings.TrimPrefix(config, mount.Target))); err != nil {
			t.Errorf("%s: %s is not there: %v", name, config, err)
		}
	}
}

// The backends in kong.yml are services, at the ports on which they listen and
// are asked for their health.
func TestBackendsAreServices(t *testing.T) {
	type backend struct {
		Host, Port string
		Service    bool
	}
	var file struct {
		Services []struct {
			backend `yaml:",inline"`
			Routes  []struct {
				Paths     []string
				StripPath bool `yaml:"strip_path"`
				Plugins   []struct {
					Name   string
					Config struct{ Backends []backend }
				}
			}
		}
	}
	text, err := os.ReadFile(root + "/kong/kong.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var found []string
	services := everything(t).Services
	check := func(b backend) {
		s, ok := services[b.Host]
		if !ok {
			t.Errorf("kong.yml names %s, which is not a service", b.Host)
			return
		}
		for _, command := range [][]string{s.Command, s.HealthCheck.Test} {
			if got := flagOf(t, command, "-listen"); got != ":"+b.Port {
				t.Errorf("kong.yml says port %s, %s has %s in %q", b.Port, b.Host, got, command)
			}
		}
		if name := flagOf(t, s.Command, "-name"); name != b.Host {
			t.Errorf("%s calls itself %s", b.Host, name)
		}
	}
	for _, s := range file.Services {
		check(s.backend)
		for _, r := range s.Routes {
			for _, p := range r.Plugins {
				for _, b := range p.Config.Backends {
					if b.Service {
						b = s.backend
					}
					check(b)
					found = append(found, strings.Join(r.Paths, " ")+" "+p.Name+" "+b.Host)
				}
			}
		}
	}
	if diff := cmp.Diff([]string{"/echo traffic-split echo", "/echo traffic-split echo2"}, found); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// checkEnvironment checks variables of a service, and that others are not set.
func checkEnvironment(t *testing.T, s types.ServiceConfig, want map[string]string, absent ...string) {
	t.Helper()
	for name, value := range want {
		if got := s.Environment[name]; got == nil || *got != value {
			t.Errorf("%s: %s is not %q", s.Name, name, value)
		}
	}
	for _, name := range absent {
		if got := s.Environment[name]; got != nil {
			t.Errorf("%s: %s is set, to %q", s.Name, name, *got)
		}
	}
}

// flagOf is the value that follows a flag in a command.
func flagOf(t *testing.T, command []string, flag string) string {
	t.Helper()
	i := slices.Index(command, flag)
	if i < 0 || i+1 == len(command) {
		t.Fatalf("there is no %s in %q", flag, command)
	}
	return command[i+1]
}

// mountOf is the volume in which a service finds a file.
func mountOf(t *testing.T, s types.ServiceConfig, file string) types.ServiceVolumeConfig {
	t.Helper()
	for _, v := range s.Volumes {
		if strings.HasPrefix(file, v.Target+"/") {
			return v
		}
	}
	t.Fatalf("%s: %s is in no volume", s.Name, file)
	return types.ServiceVolumeConfig{}
}

func rawCompose(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(root + "/docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]any{}
	if err := yaml.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	return raw
}
