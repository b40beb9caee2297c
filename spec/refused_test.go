package spec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// withPlugin is a declarative configuration with the plugin on a route.
func withPlugin(config string) string {
	return fmt.Sprintf(`_format_version: "3.0"
services:
- name: service
  url: http://localhost:1
  routes:
  - name: route
    paths: [/]
    plugins:
    - {name: traffic-split, config: %s}
`, config)
}

// cmdRefused expects that the gateway refuses a config of the plugin with
// exactly these problems, in any order.
func (s *scene) cmdRefused(args []string) error {
	if err := arguments(args, "refused config 'field: message'...", 2, 100); err != nil {
		return err
	}
	got, err := s.tryPlugin(args[0])
	if err != nil {
		return err
	}
	if want := sortedLines(args[1:]); got != want {
		return fmt.Errorf("refused with\n%snot with\n%s", got, want)
	}
	return nil
}

// cmdAccepted expects that the gateway takes a config of the plugin.
func (s *scene) cmdAccepted(args []string) error {
	if err := arguments(args, "accepted config", 1, 1); err != nil {
		return err
	}
	got, err := s.tryPlugin(args[0])
	if err != nil || got == "" {
		return err
	}
	return errors.New("refused with\n" + got)
}

func (s *scene) tryPlugin(config string) (string, error) {
	if s.gateway == nil {
		return "", errors.New("no gateway is running")
	}
	return s.gateway.post(withPlugin(config))
}

// sortedLines is the text of these lines in order.
func sortedLines(lines []string) string {
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n") + "\n"
}
