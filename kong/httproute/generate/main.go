// Command generate writes schema.json: what the CRDs of the Gateway API (experimental
// channel) say of the objects that this package reads, without descriptions and status.
package main

import (
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

const module = "sigs.k8s.io/gateway-api"

func main() {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		log.Fatal(err)
	}
	kinds := map[string]any{}
	for _, plural := range []string{"gateways", "grpcroutes", "httproutes", "referencegrants"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/experimental/gateway.networking.k8s.io_"+plural+".yaml"))
		if err != nil {
			log.Fatal(err)
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPIV3Schema struct{ Properties map[string]any } `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			log.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			if v.Name == "v1" {
				kinds[crd.Spec.Names.Kind] = trimmed(v.Schema.OpenAPIV3Schema.Properties["spec"])
			}
		}
	}
	out, err := json.MarshalIndent(kinds, "", " ")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("schema.json", append(out, '\n'), 0o644); err != nil {
		log.Fatal(err)
	}
}

// trimmed is a schema without descriptions.
func trimmed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if _, isText := value.(string); key == "description" && isText {
				continue
			}
			out[key] = trimmed(value)
		}
		return out
	case []any:
		for i := range v {
			v[i] = trimmed(v[i])
		}
	}
	return v
}
