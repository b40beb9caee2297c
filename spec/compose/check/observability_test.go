package check

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// The images of others have a tag, and the environment may name another one.
func TestImagesOfOthersArePinned(t *testing.T) {
	for name, variable := range map[string]string{"prometheus": "PROMETHEUS_IMAGE", "grafana": "GRAFANA_IMAGE"} {
		if image := everything(t).Services[name].Image; !regexp.MustCompile(`^[a-z]+/[a-z]+:v?\d+\.\d+\.\d+$`).MatchString(image) {
			t.Errorf("%s: image %s", name, image)
		}
		if image := load(t, []string{variable + "=mirror/one:1"}, "observability").Services[name].Image; image != "mirror/one:1" {
			t.Errorf("%s: %s makes the image %s", name, variable, image)
		}
	}
}

// Prometheus asks the plugin server at its status address, by a name that it takes.
func TestPrometheusFindsTheServer(t *testing.T) {
	services := everything(t).Services
	var config struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	file := argument(t, services["prometheus"], "--config.file=")
	readYAML(t, mounted(t, services["prometheus"], file), &config)
	var targets []string
	for _, c := range config.ScrapeConfigs {
		for _, s := range c.StaticConfigs {
			targets = append(targets, s.Targets...)
		}
	}
	want := []string{"traffic-split" + flagOf(t, services["traffic-split"].Command, "-status-listen")}
	if diff := cmp.Diff(want, targets); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, rules := range config.RuleFiles {
		mounted(t, services["prometheus"], path.Join(path.Dir(file), rules))
	}
	own(t, services["prometheus"], argument(t, services["prometheus"], "--storage.tsdb.path="))
}

// Grafana asks Prometheus, and has the dashboard.
func TestGrafanaFindsPrometheus(t *testing.T) {
	services := everything(t).Services
	grafana := services["grafana"]
	provisioning := *grafana.Environment["GF_PATHS_PROVISIONING"]
	var sources struct{ Datasources []struct{ URL string } }
	readYAML(t, mounted(t, grafana, provisioning+"/datasources/prometheus.yml"), &sources)
	if len(sources.Datasources) != 1 || sources.Datasources[0].URL != "http://prometheus:9090" || services["prometheus"].Ports[0].Target != 9090 {
		t.Errorf("data sources %+v, and prometheus listens on %+v", sources, services["prometheus"].Ports)
	}
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	readYAML(t, mounted(t, grafana, provisioning+"/dashboards/traffic-split.yml"), &dashboards)
	home := *grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	mounted(t, grafana, home)
	if len(dashboards.Providers) != 1 || dashboards.Providers[0].Options.Path != path.Dir(home) {
		t.Errorf("dashboards %+v are not where %s is", dashboards, home)
	}
	own(t, grafana, "/var/lib/grafana")
}

// argument is the value of a command's only argument that begins like this.
func argument(t *testing.T, s types.ServiceConfig, start string) string {
	t.Helper()
	i := slices.IndexFunc(s.Command, func(arg string) bool { return strings.HasPrefix(arg, start) })
	if i < 0 {
		t.Fatalf("%s has no %s: %q", s.Name, start, s.Command)
	}
	return strings.TrimPrefix(s.Command[i], start)
}

// mounted is the file of this tree that a service finds at a path.
func mounted(t *testing.T, s types.ServiceConfig, file string) string {
	t.Helper()
	v := mountOf(t, s, file)
	here := path.Join(v.Source, strings.TrimPrefix(file, v.Target))
	if _, err := os.Stat(here); err != nil || v.Type != types.VolumeTypeBind {
		t.Fatalf("%s: %s is not there: %v", s.Name, file, err)
	}
	return here
}

// own checks that a folder is a volume that nobody else has.
func own(t *testing.T, s types.ServiceConfig, folder string) {
	t.Helper()
	mount := mountOf(t, s, folder+"/x")
	if mount.Type != types.VolumeTypeVolume || mount.ReadOnly || mount.Target != folder {
		t.Errorf("%s: %s is in %+v", s.Name, folder, mount)
	}
	for name, other := range everything(t).Services {
		for _, v := range other.Volumes {
			if v.Source == mount.Source && name != s.Name {
				t.Errorf("%s has the volume of %s too", name, s.Name)
			}
		}
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}
