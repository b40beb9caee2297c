package config

import (
	"encoding/json"
	"reflect"
	"testing"

	"gopkg.in/yaml.v3"
)

// What people write instead of what is meant, and what they are told to write.
func TestWayOut(t *testing.T) {
	backend := func(member string) string { return `{"backends": [{"host": "a", ` + member + `}]}` }
	for _, tt := range []struct{ config, want string }{
		// Shares are relative.
		{backend(`"weight": "10%"`), `backends[0].weight: expected an integer, not the string "10%"; weights are relative: 9 and 1 share as 90 % and 10 % do`},
		{backend(`"weight": "62.5 %"`), `backends[0].weight: expected an integer, not the string "62.5 %"; weights are relative: 5 and 3 share as 62.5 % and 37.5 % do`},
		{backend(`"weight": "100%"`), `backends[0].weight: expected an integer, not the string "100%"; weights are relative, and 0 takes nothing`},
		{backend(`"weight": "101%"`), `backends[0].weight: expected an integer, not the string "101%"`},
		{backend(`"weight": 0.1`), `backends[0].weight: expected an integer, not 0.1; weights are relative: 9 and 1 share as 0.9 and 0.1 do`},
		{backend(`"weight": 0.25`), `backends[0].weight: expected an integer, not 0.25; weights are relative: 3 and 1 share as 0.75 and 0.25 do`},
		{backend(`"weight": 2.5`), `backends[0].weight: expected an integer, not 2.5; weights are relative: 5 and 2 share as 2.5 and 1 do`},
		{backend(`"weight": -0.5`), `backends[0].weight: expected an integer, not -0.5`},
		{inConfig(inRule(`"weights": {"v1": "10%", "v2": 1}`)), `rules[0].weights.v1: expected an integer, not the string "10%"; weights are relative: 9 and 1 share as 90 % and 10 % do`},

		// Numbers are without quotes.
		{backend(`"weight": "10"`), `backends[0].weight: expected an integer, not the string "10"; write it without quotes`},
		{backend(`"port": "http"`), `backends[0].port: expected an integer, not the string "http"`},
		{backend(`"name": 1`), `backends[0].name: expected a string, not 1; write it in quotes`},

		// Times are in seconds.
		{inConfig(inRamp(`"duration": "1h"`)), `ramp.duration: expected a number, not the string "1h"; it is in seconds: 3600`},
		{inConfig(inRamp(`"duration": "2d"`)), `ramp.duration: expected a number, not the string "2d"; it is in seconds: 172800`},
		{inConfig(inRamp(`"duration": "an hour"`)), `ramp.duration: expected a number, not the string "an hour"; it is a number of seconds`},
		{inConfig(inHealth(`{"active": {"interval": "500ms"}}`)), `backends[0].health.active.interval: expected a number, not the string "500ms"; it is in seconds: 0.5`},
		{inConfig(inHealth(`{"active": {"timeout": "5 sec"}}`)), `backends[0].health.active.timeout: expected a number, not the string "5 sec"; it is in seconds: 5`},
		{inConfig(inHealth(`{"passive": {"ejection": "5 min"}}`)), `backends[0].health.passive.ejection: expected a number, not the string "5 min"; it is in seconds: 300`},
		{inConfig(`"session": {"secret": "0123456789abcdef", "max_age": "1h30m"}`), `session.max_age: expected an integer, not a string; it is in seconds: 5400`},

		// Percent, and parts.
		{inConfig(inRamp(`"duration": 60, "to": "50%"`)), `ramp.to: expected a number, not the string "50%"; write 50`},
		{inConfig(inGuard(`5`)), `ramp.guard.max_error_ratio: 5 is not in 0.0001..0.9999; 0.05 is 5 %`},
		{inConfig(inGuard(`2.5`)), `ramp.guard.max_error_ratio: 2.5 is not in 0.0001..0.9999; 0.025 is 2.5 %`},
		{inConfig(inGuard(`"5%"`)), `ramp.guard.max_error_ratio: expected a number, not the string "5%"; write 0.05`},
		{inConfig(inGuard(`500`)), `ramp.guard.max_error_ratio: 500 is not in 0.0001..0.9999; 0.05 is 5 %`},

		// Lists and maps.
		{inConfig(inMatch(`{"headers": {"X-T": "1"}}`)), `rules[0].match.headers.X-T: expected an array, not the string "1"; write ["1"]`},
		{inConfig(inMatch(`{"headers": {"X-T": 1}}`)), `rules[0].match.headers.X-T: expected an array, not 1; write ["1"]`},
		{inConfig(inMatch(`{"headers": "X-T"}`)), `rules[0].match.headers: expected a map, not the string "X-T"; for example {X-Beta: ["1"]}`},
		{inConfig(inMatch(`{"methods": "GET"}`)), `rules[0].match.methods: expected an array, not the string "GET"; write ["GET"]`},
		{inConfig(inMatch(`{"methods": "get"}`)), `rules[0].match.methods: expected an array, not the string "get"; for example [GET, HEAD]`},
		{inConfig(inMatch(`{"client_ips": "10.0.0.0/8"}`)), `rules[0].match.client_ips: expected an array, not the string "10.0.0.0/8"; write ["10.0.0.0/8"]`},
		{`{"backends": {"v1": {"host": "a"}}}`, `backends: expected an array, not a map; for example [{host: a.example.com, weight: 9}, {host: b.example.com, weight: 1}]`},
		{`{"backends": ["a.example.com:80"]}`, `backends[0]: expected a map, not the string "a.example.com:80"; for example {host: a.example.com, weight: 9}`},
		{inConfig(`"session": true`), `session: expected a map, not true; for example {secret: 16 characters or more}`},
		{inConfig(`"ramp": 50`), `ramp: expected a map, not 50; for example {backend: canary, start: "2026-01-31T18:00:00Z", duration: 3600}`},
		{inConfig(inHealth(`true`)), `backends[0].health: expected a map, not true; for example {active: {path: /healthz}}`},

		// Booleans.
		{inConfig(`"log_decision": "true"`), `log_decision: expected true or false, not the string "true"; write true without quotes`},
		{inConfig(`"log_decision": "off"`), `log_decision: expected true or false, not the string "off"; write false without quotes`},
		{inConfig(`"log_decision": 0`), `log_decision: expected true or false, not 0; write false`},
		{inConfig(`"log_decision": "maybe"`), `log_decision: expected true or false, not the string "maybe"`},

		// A default does not contradict what is given.
		{inConfig(inHealth(`{"active": {"interval": 0.5}}`)), ``},
		{inConfig(inHealth(`{"active": {"interval": 0.5, "timeout": 1}}`)), `backends[0].health.active.timeout: 1 s is longer than the interval, 0.5 s; make the one shorter or the other longer`},

		{`{"config": {"backends": [{"host": "a"}]}}`, `unknown key "config"; the keys of the plugin's config stand here without another config around them`},
	} {
		_, err := FromKong([]byte(tt.config))
		problems, _ := err.(Problems)
		if got := lines(problems); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.config, got, tt.want)
		}
	}
}

func inConfig(parameters string) string { return withTwo(parameters) }

func inRule(decision string) string {
	return `"rules": [{"match": {"methods": ["GET"]}, ` + decision + `}]`
}

func inGuard(ratio string) string {
	return inRamp(`"duration": 60, "guard": {"max_error_ratio": ` + ratio + `}`)
}

// The timeout of a probe is a second, or less where the interval is.
func TestTimeoutOfProbes(t *testing.T) {
	for interval, want := range map[string]float64{`0.5`: 0.5, `1`: 1, `5`: 1} {
		c, err := FromKong([]byte(`{"backends": [{"host": "a", "health": {"active": {"interval": ` + interval + `}}}]}`))
		if err != nil || c.Backends[0].Health.Active.Timeout != want {
			t.Errorf("interval %s: got %+v, %v, want %v", interval, c, err, want)
		}
	}
}

// Every list and every map shows what it takes, every number says what it counts, and
// no string is without end.
func TestTheTableHelps(t *testing.T) {
	var look func(f *field, path string, of reflect.Type)
	look = func(f *field, path string, of reflect.Type) {
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		switch f.kind {
		case kindArray, kindMap, kindRecord:
			if problems := problemsOfExample(f, of); problems != nil {
				t.Errorf("%s: the example %q: %v", path, f.example, problems)
			}
		case kindInteger, kindNumber:
			if f.unit == "" {
				t.Errorf("%s has no unit", path)
			}
		case kindString:
			if f.max == 0 && f.oneOf == nil {
				t.Errorf("%s has no max", path)
			}
		}
		if f.keys != nil {
			look(f.keys, path+" keys", reflect.TypeFor[string]())
			look(f.values, path+" values", of.Elem())
		}
		if f.elements != nil {
			look(f.elements, path+" elements", of.Elem())
		}
		for i := range f.fields {
			member, _ := of.FieldByName(goName(f.fields[i].name))
			look(&f.fields[i], Join(path, f.fields[i].name), member.Type)
		}
	}
	look(&row, "", reflect.TypeFor[Config]())
	look(&splitFile, "file", reflect.TypeFor[struct {
		Defaults Config
		Splits   map[string]Config
	}]())
}

// problemsOfExample are those of a field's example, by itself.
func problemsOfExample(f *field, of reflect.Type) error {
	var example any
	if err := yaml.Unmarshal([]byte(f.example), &example); err != nil {
		return err
	}
	text, err := json.Marshal(example)
	if err != nil {
		return err
	}
	n, err := parseJSON(text, maxValues)
	if err != nil {
		return err
	}
	var r reader
	r.read(f, n, "", reflect.New(of).Elem())
	if problems := r.found(); problems != nil {
		return problems
	}
	return nil
}
