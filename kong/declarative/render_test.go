package declarative_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/declarative"
)

// What decK makes of a file with variables of the environment in it.
func TestParseDeck(t *testing.T) {
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"DECK_W": "20", "DECK_ON": "true", "DECK_LINES": "a\nb", "DECK_Y": "a: b"}[name]
		return value, ok
	}
	for _, tt := range []struct{ text, want string }{
		{"w: ${{ env \"DECK_W\" | toInt }} # ${{ env \"DECK_W\" }}\n", `{"w":20}`},
		{"w: \"${{ env \"DECK_W\" }}\"\nx: ${{ env \"DECK_Y\" }}x\n", "failed parsing declarative configuration: line 2: mapping values are not allowed in this context"},
		{"w: '${{ env \"DECK_Y\" }}'\n", `{"w":"a: b"}`},
		{"on: ${{ env \"DECK_ON\" | toBool }}\nf: ${{ env \"DECK_W\" | toFloat }}", `{"f":20,"true":true}`},
		{"a: |\n  ${{ env \"DECK_LINES\" | indent 2 }}\n", `{"a":"a\nb\n"}`},
		{"  # ${{ env \"NO\" }}\na: 1", `{"a":1}`},
		{"a: 1\nb: ${{ env \"NO\" }}", `line 2: ${{ env "NO" }}: decK reads only environment variables that begin with DECK_`},
		{"b: ${{ env \"DECK_NO\" }}", `line 1: ${{ env "DECK_NO" }}: the environment variable DECK_NO is not set, which decK needs`},
		{"b: ${{ env \"DECK_Y\" | toInt }}", `line 1: ${{ toInt }}: strconv.Atoi: parsing "a: b": invalid syntax`},
		{"b: ${{ secret }}", `line 1: function "secret" not defined`},
		{"a: ${{ range $i := 70000 }}${{ indent 9999999 \"\\n\" }}${{ end }}", more(1)},
		{"a: 1\nb: ${{ \"'\" | js | js }}", more(2)},
		{"a: 1\n\nb: ${{ (printf \"%d\" 1) | toInt }}", more(3)},
		{"a: ${{ (env \"DECK_W\") | toInt }}", `{"a":20}`},
	} {
		f, err := declarative.ParseDeck([]byte(tt.text), env)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			b, _ := json.Marshal(f.File)
			got = string(b)
		}
		if got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
}

func more(line int) string {
	return fmt.Sprintf("line %d: of ${{ }} only env, toBool, toInt, toFloat and indent are understood here, without loops: write out what it makes", line)
}

// What is edited beside an expression leaves it, and what is edited in its place is refused.
func TestDeckFileRestore(t *testing.T) {
	const text = "a: ${{ env \"DECK_W\" }} # ${{ env \"DECK_W\" }}\nb: 1\nc: '${{ env \"DECK_W\" }}'\n"
	f, err := declarative.ParseDeck([]byte(text), func(string) (string, bool) { return "x", true })
	if err != nil {
		t.Fatal(err)
	}
	if len([]rune(f.Text)) != len([]rune(text)) {
		t.Errorf("%q has other columns than %q", f.Text, text)
	}
	got, err := f.Restore(strings.Replace(f.Text, "b: 1", "b: 25", 1))
	if want := strings.Replace(text, "b: 1", "b: 25", 1); err != nil || got != want {
		t.Errorf("%v, %s", err, cmp.Diff(want, got))
	}
	_, err = f.Restore(strings.ReplaceAll(f.Text, "c: '", "c: 7 #"+strings.Repeat(" ", 3))[:len(f.Text)-20])
	if want := `line 3: the value comes from ${{ env "DECK_W" }}: change it there, or write the value into the file first`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Rows get what they share and the defaults, at all depths, unless they have it.
func TestWithoutDeck(t *testing.T) {
	f, err := declarative.Parse([]byte(`
_format_version: "3.0"
_info: {select_tags: [a], defaults: {service: {retries: 1, port: 81}, route: {preserve_host: true}}}
_workspace: x
_plugin_configs: {shared: {a: {b: 1, c: 2}, d: [1]}}
services:
- {name: s, port: 82, routes: [{name: r, plugins: [{name: p, _config: shared, config: {a: {b: 3}, d: [2]}}]}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if keys := f.OnlyForDeck(); !cmp.Equal(keys, []string{"_info", "_workspace", "_plugin_configs"}) {
		t.Errorf("only for decK are %q", keys)
	}
	f, err = f.WithoutDeck()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(f)
	if want := `{"_format_version":"3.0","services":[{"name":"s","port":82,"retries":1,"routes":[{"name":"r","plugins":[{"config":{"a":{"b":3,"c":2},"d":[2]},"name":"p"}],"preserve_host":true}]}]}`; string(got) != want {
		t.Errorf("%s", cmp.Diff(want, string(got)))
	}
}
