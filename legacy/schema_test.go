package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ugorji/go/codec"

	"kong-traffic-split/plugin/config"
)

// TestDump reads what Kong 2.8 asks for when it starts. Its schema has all the
// parameters of the table, and no others, in the types that the table has.
func TestDump(t *testing.T) {
	out, err := running(t).command("-dump-plugin-info", "traffic-split").Output()
	if err != nil {
		t.Fatal(err)
	}
	var dumped map[string]any
	if err := codec.NewDecoderBytes(out, msgpack()).Decode(&dumped); err != nil {
		t.Fatal(err)
	}
	asked, failed := newWorker(t).call("plugin.GetPluginInfo", "traffic-split")
	if failed != nil {
		t.Fatal(failed)
	}
	var table map[string]any
	if err := json.Unmarshal(config.KongSchema(), &table); err != nil {
		t.Fatal(err)
	}
	version, priority := ofKong3(t)
	for name, info := range map[string]map[string]any{"-dump-plugin-info": dumped, "GetPluginInfo": asked} {
		t.Run(name, func(t *testing.T) {
			schema, _ := info["Schema"].(map[string]any)
			got := []any{info["Name"], info["Version"], number(info["Priority"]), info["Phases"], schema["name"]}
			want := []any{"traffic-split", version, priority, []any{"access"}, "traffic-split"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(parameters(t, table), parameters(t, schema)); diff != "" {
				t.Errorf("the table (-) and Kong 2.8's schema (+) differ:\n%s", diff)
			}
		})
	}
}

// ofKong3 is what the plugin for Kong 3 says of itself. It cannot be imported
// here, as it needs another go-pdk.
func ofKong3(t *testing.T) (version string, priority int) {
	t.Helper()
	source, err := os.ReadFile("../plugin/plugin.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\tVersion = "(.+?)"\n.*\tPriority = (\d+)\n`).FindSubmatch(source)
	if found == nil {
		t.Fatal("plugin/plugin.go has no Version and Priority")
	}
	priority, _ = strconv.Atoi(string(found[2]))
	return string(found[1]), priority
}

// parameters are the names and types in a schema's config.
func parameters(t *testing.T, schema map[string]any) any {
	t.Helper()
	fields, _ := schema["fields"].([]any)
	for _, f := range fields {
		if c, ok := f.(map[string]any)["config"].(map[string]any); ok {
			return shape(c)
		}
	}
	t.Fatal("the schema has no config")
	return nil
}

func shape(field map[string]any) any {
	of := func(key string) any { return shape(field[key].(map[string]any)) }
	switch field["type"] {
	case "array":
		return []any{of("elements")}
	case "map":
		return map[string]any{"keys": of("keys"), "values": of("values")}
	case "record":
		record := map[string]any{}
		for _, f := range field["fields"].([]any) {
			for name, v := range f.(map[string]any) {
				record[name] = shape(v.(map[string]any))
			}
		}
		return record
	}
	return field["type"]
}

// TestAbsent: Kong 2.8 leaves out what is not set where it has read it from its
// database, but for records of which nothing is left, and has null for it before.
func TestAbsent(t *testing.T) {
	want := start([]byte(`{"backends":[{"host":"a"}],"session":{"secret":"0123456789abcdef"}}`))
	if want.refused != nil {
		t.Fatal(want.refused)
	}
	const backend = `{"name":null,"upstream":null,"host":"a","port":null,"weight":null,"protocol":null,"path":null,
		"host_header":null,"request_headers":null,"response_headers":{"add":null},"health":null}`
	got := start([]byte(`{"backends":[` + backend + `],"algorithm":null,"hash_on":null,"hash_fallback":null,"rules":{},
		"session":{"secret":"0123456789abcdef","cookie":null,"max_age":null,"http_only":null,"previous_secret":null},
		"force_header":null,"ramp":null,"on_unavailable":null,"log_decision":null,"split":null,
		"__key__":"plugins:traffic-split:r1::::ws","__seq__":3,"route_id":"r1"}`))
	if got.refused != nil {
		t.Fatal(got.refused)
	}
	if diff := cmp.Diff(want.config, got.config); diff != "" {
		t.Error(diff)
	}
}
