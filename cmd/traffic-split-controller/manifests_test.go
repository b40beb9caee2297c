package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kong-traffic-split/cmd/traffic-split-controller/apiserver"
	"kong-traffic-split/cmd/traffic-split-controller/splits"
)

const manifests = "../../kong/k8s/"

// values are those of kong/k8s/values.yaml that are about pods.
type values struct {
	Env             map[string]string
	SecurityContext map[string]any
	Deployment      struct {
		UserDefinedVolumes      []any
		UserDefinedVolumeMounts []any
		InitContainers          []container
	}
}

type container struct {
	Name string
	Args []string
}

func readValues(t *testing.T) (v values, all map[string]any) {
	t.Helper()
	content, err := os.ReadFile(manifests + "values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	return v, all
}

// TestTheManifests has the API server check all of kong/k8s: Kong's resources by their
// CRDs, and the containers and volumes of the values in a Deployment as the chart makes it.
func TestTheManifests(t *testing.T) {
	_, client := installed(t)
	names, err := os.ReadDir(manifests)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range names {
		if entry.Name() == "values.yaml" {
			continue
		}
		objects, err := apiserver.ReadFile(manifests + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if err := client.Apply(t.Context(), true, o); err != nil {
				t.Errorf("%s: %v", entry.Name(), err)
			}
		}
	}
	v, all := readValues(t)
	deployment := all["deployment"].(map[string]any)
	kong := map[string]any{"name": "proxy", "image": "kong:3.9", "volumeMounts": deployment["userDefinedVolumeMounts"]}
	pod := map[string]any{
		"containers": []any{kong}, "initContainers": deployment["initContainers"],
		"volumes": deployment["userDefinedVolumes"], "securityContext": all["securityContext"],
	}
	labels := map[string]any{"app": "kong"}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "kong"},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod},
		},
	}}
	if err := client.Apply(t.Context(), true, u); err != nil {
		t.Errorf("values.yaml: %v", err)
	}
	if len(v.Deployment.InitContainers) != 2 {
		t.Errorf("values.yaml has %d sidecars, want the controller and the plugin server", len(v.Deployment.InitContainers))
	}
}

// TestTheValues checks that the parts of the values fit together.
func TestTheValues(t *testing.T) {
	v, _ := readValues(t)
	args := map[string][]string{}
	for _, c := range v.Deployment.InitContainers {
		args[c.Name] = c.Args
	}
	o, err := parse(args["traffic-split-controller"], io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"-file=" + o.file, "-socket=" + v.Env["pluginserver_traffic_split_socket"], "-info-file=" + strings.TrimPrefix(v.Env["pluginserver_traffic_split_query_cmd"], "cat ")} {
		if !slices.Contains(args["traffic-split"], flag) {
			t.Errorf("the plugin server has no %s: %s", flag, args["traffic-split"])
		}
	}
	if flavor := "-router-flavor=" + v.Env["router_flavor"]; !slices.Contains(args["traffic-split-controller"], flavor) {
		t.Errorf("the controller has no %s", flavor)
	}
}

func TestTheSplitFileOfTheConfigMap(t *testing.T) {
	objects, err := apiserver.ReadFile(manifests + "configmap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	content, _, _ := unstructured.NestedString(objects[0].Object, "data", "splits.yaml")
	if err := splits.Check([]byte(content)); err != nil || content == "" {
		t.Error(err)
	}
}
