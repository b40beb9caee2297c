package main

import (
	"testing"

	"kong-traffic-split/kong/declarative"
)

// FuzzReadRows: whatever a file has, there are splits with backends or an error.
func FuzzReadRows(f *testing.F) {
	for _, text := range []string{
		`{_format_version: "3.0", plugins: [{name: traffic-split, config: {backends: [{host: a}]}}]}`,
		`{_format_version: "3.0", plugins: [{name: traffic-split, config: [1, ~, {a: &a {<<: *a}}]}]}`,
		"x: &x {name: traffic-split, route: {id: r}}\nroutes: [{id: r, name: q, plugins: [{<<: [*x, *x]}, *x, 7]}]\nservices: {routes: {}}",
		"services: [{routes: [{plugins: [{name: traffic-split, service: [], config: {backends: 1: 2}}]}]}]",
		"consumers: [{username: 1, plugins: [{name: traffic-split, config: {backends: [{host: \"\\xff\", weight: .inf}]}}]}]",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := declarative.Parse([]byte(text)); err != nil {
			return
		}
		splits, err := readRows("kong.yml", text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		names := map[string]bool{}
		for _, s := range splits.splits {
			if len(s.config.Backends) == 0 || s.name == "" || names[s.name] {
				t.Errorf("%+v", s)
			}
			names[s.name] = true
			s.config.Compile(s.identity)
		}
		_, _ = splits.consumer("ann")
	})
}
