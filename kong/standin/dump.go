package standin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// externalPlugin is a plugin as its server dumps it.
type externalPlugin struct {
	name     string
	version  string
	priority int
	phases   []string
	schema   json.RawMessage
	server   PluginServer
}

func (p *externalPlugin) has(phase string) bool { return slices.Contains(p.phases, phase) }

// versionPattern is what Kong finds of a version in a text.
var versionPattern = regexp.MustCompile(`\d+(\.\d+)*`)

// query runs the server's query command, through a shell as Kong does, and
// reads what it prints.
func query(server PluginServer) (externalPlugin, error) {
	p := externalPlugin{server: server}
	var out bytes.Buffer
	cmd := exec.Command("sh", "-c", server.QueryCmd)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	runErr := cmd.Run() // Kong reads what was printed, however the command ended
	var dump struct {
		Protocol string
		Plugins  []struct {
			Name, Version string
			Priority      int
			Phases        []string
			Schema        json.RawMessage
		}
	}
	if err := json.Unmarshal(out.Bytes(), &dump); err != nil {
		return p, fmt.Errorf("failed loading external plugins: failed decoding plugin info: %w",
			errors.Join(err, runErr))
	}
	if dump.Protocol != "ProtoBuf:1" {
		return p, fmt.Errorf("pluginserver %s: protocol %q is not supported, only ProtoBuf:1",
			server.Name, dump.Protocol)
	}
	if len(dump.Plugins) == 0 || dump.Plugins[0].Name == "" {
		return p, fmt.Errorf("pluginserver %s: %q dumps no plugin", server.Name, server.QueryCmd)
	}
	first := dump.Plugins[0] // Kong ignores the others
	p.name, p.priority = first.Name, first.Priority
	p.version = versionPattern.FindString(first.Version)
	if p.version == "" || strings.Count(p.version, ".") > 2 {
		return p, fmt.Errorf("plugin %q cannot be loaded because its VERSION field does not follow the \"x.y.z\" format, got: %q",
			p.name, first.Version)
	}
	p.phases, p.schema = first.Phases, first.Schema
	return p, nil
}

// queryAll asks every server for its plugin.
func (s settings) queryAll() ([]externalPlugin, error) {
	var all []externalPlugin
	for _, server := range s.PluginServers {
		p, err := query(server)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
