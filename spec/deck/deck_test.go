package deck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file is one of decK's, with rows of ours in all the ways that it has.
const file = `_format_version: "3.0"
_info: {defaults: {service: {retries: 3}}}
_plugin_configs:
  shared: {algorithm: smooth, session: {secret: sixteen-bytes-at-least}}
upstreams:
- name: up
  targets: [{target: 127.0.0.1:9, weight: 10}]
consumers:
- username: ann
  keyauth_credentials: [{key: k}]
services:
- name: default
  host: localhost
  routes:
  - name: shop
    paths: [/shop]
    plugins:
    - name: traffic-split
      config:
        backends:
        - {name: stable, service: true, weight: ${{ env "DECK_WEIGHT" | toInt }}}
        - {name: canary, upstream: up, weight: 100}
  - name: pinned
    paths: [/pinned]
    plugins:
    - name: traffic-split
      _config: shared
      config: {backends: [{host: localhost}, {host: example.com, weight: 3}], session: {max_age: 60}}
`

// kongs are those on which decK works.
func kongs() map[string]string {
	all := map[string]string{"stand-in": ""}
	if path := os.Getenv("SPEC_KONG"); path != "" {
		all["Kong"] = path
	}
	return all
}

const noChange = "Summary:\n  Created: 0\n  Updated: 0\n  Deleted: 0\n"

// decK validates, compares and dumps rows of ours, without a database.
func TestDeck(t *testing.T) {
	p := build(t)
	t.Setenv("DECK_WEIGHT", "200")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	deckFile := write("deck.yml", file)
	// What Kong itself reads has neither what is decK's alone, nor its variables.
	kongFile := write("kong.yml", strings.NewReplacer(
		"_info: {defaults: {service: {retries: 3}}}\n", "", "  host: localhost\n  routes", "  host: localhost\n  retries: 3\n  routes",
		"_plugin_configs:\n  shared: {algorithm: smooth, session: {secret: sixteen-bytes-at-least}}\n", "", "      _config: shared\n", "",
		"session: {max_age: 60}", "session: {max_age: 60, secret: sixteen-bytes-at-least}",
		`${{ env "DECK_WEIGHT" | toInt }}`, "200").Replace(file))
	wrong := write("wrong.yml", strings.Replace(file, "weight: 3}", "weight: -3}", 1))
	// splitctl reads the file as decK does.
	if out, err := run(t, p.splitctl, "simulate", deckFile, "--split", "shop", "--requests", "300"); err != nil || !strings.Contains(out, "stable          200 ") {
		t.Errorf("splitctl simulate: %v\n%s", err, out)
	}
	for name, kong := range kongs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, p, kong, kongFile)
			deck := func(args ...string) (string, error) {
				t.Helper()
				return run(t, p.deck, append([]string{"--analytics=false", "--kong-addr", g.admin}, args...)...)
			}
			for _, args := range [][]string{
				{"gateway", "ping"}, {"file", "validate", deckFile}, {"gateway", "validate", deckFile}, {"gateway", "diff", deckFile},
			} {
				out, err := deck(args...)
				if err != nil || args[1] == "diff" && out != noChange {
					t.Errorf("deck %s: %v\n%s", strings.Join(args[:2], " "), err, out)
				}
			}
			// What it dumps is what it has.
			dumped := filepath.Join(dir, name+".yml")
			if out, err := deck("gateway", "dump", "-o", dumped); err != nil {
				t.Fatalf("deck gateway dump: %v\n%s", err, out)
			}
			if out, err := deck("gateway", "diff", dumped); err != nil || out != noChange {
				t.Errorf("deck gateway diff of its dump: %v\n%s", err, out)
			}
			if out, err := run(t, p.splitctl, "simulate", dumped, "--split", "shop", "--requests", "300"); err != nil || !strings.Contains(out, "stable          200 ") {
				t.Errorf("splitctl simulate of the dump: %v\n%s", err, out)
			}
			refused(t, g, p, wrong)
			// Another weight is a change, which a Kong without a database refuses.
			changed := write("changed.yml", strings.Replace(file, "weight: 100", "weight: 101", 1))
			if out, err := deck("gateway", "diff", changed); err != nil || !strings.Contains(out, `-        "weight": 100`) || !strings.Contains(out, "  Updated: 1\n") {
				t.Errorf("deck gateway diff of another weight: %v\n%s", err, out)
			}
			if out, err := deck("gateway", "sync", changed); err == nil || !strings.Contains(out, "cannot create or update 'plugins' entities when not using a database") {
				t.Errorf("deck gateway sync: %v\n%s", err, out)
			}
		})
	}
}

// refused has decK refuse a file with a weight of -3, with the schema's message.
func refused(t *testing.T, g *gateway, p programs, wrong string) {
	t.Helper()
	out, err := run(t, p.deck, "--analytics=false", "--kong-addr", g.admin, "gateway", "validate", wrong)
	if err == nil || !strings.Contains(out, `weight = \"value should be between 0 and 1000000\"`) {
		t.Errorf("deck gateway validate of a weight of -3: %v\n%s", err, out)
	}
}

// decK synchronises rows of ours with a Kong that has a database: after that, there is no
// change, and what is wrong is refused.
func TestDeckSync(t *testing.T) {
	kong := os.Getenv("SPEC_KONG")
	if kong == "" {
		t.Skip("SPEC_KONG names no Kong, and the stand-in has no database")
	}
	p := build(t)
	g := startGateway(t, p, kong, "", startPostgres(t)...)
	t.Setenv("DECK_WEIGHT", "200")
	dir := t.TempDir()
	path, wrong := filepath.Join(dir, "deck.yml"), filepath.Join(dir, "wrong.yml")
	for name, text := range map[string]string{path: file, wrong: strings.Replace(file, "weight: 3}", "weight: -3}", 1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deck := func(args ...string) (string, error) {
		return run(t, p.deck, append([]string{"--analytics=false", "--kong-addr", g.admin}, args...)...)
	}
	if out, err := deck("gateway", "sync", path); err != nil || !strings.Contains(out, "  Created: 9\n") {
		t.Fatalf("deck gateway sync: %v\n%s", err, out)
	}
	for _, command := range []string{"diff", "sync"} {
		if out, err := deck("gateway", command, path); err != nil || out != noChange {
			t.Errorf("deck gateway %s after it: %v\n%s", command, err, out)
		}
	}
	refused(t, g, p, wrong)
	out, err := deck("gateway", "sync", wrong)
	if err == nil || !strings.Contains(out, "value should be between 0 and 1000000") {
		t.Errorf("deck gateway sync of a weight of -3: %v\n%s", err, out)
	}
	// splitctl steers the same row, and decK sees it.
	if out, err := run(t, p.splitctl, "set", "shop", "canary=50", "--admin", g.admin); err != nil {
		t.Fatalf("splitctl set: %v\n%s", err, out)
	}
	if out, err := deck("gateway", "diff", path); err != nil || !strings.Contains(out, `-        "weight": 50`) {
		t.Errorf("deck gateway diff after splitctl set: %v\n%s", err, out)
	}
}
