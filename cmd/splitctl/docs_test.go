package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/kong/check"
)

var update = flag.Bool("update", false, "write the output of the examples in docs/splitctl.md anew")

// TestExamplesOfDocs: what docs/splitctl.md shows is what splitctl says. Its YAML
// blocks are the files that the commands behind them read; the block behind a command
// is the output.
func TestExamplesOfDocs(t *testing.T) {
	page, err := filepath.Abs("../../docs/splitctl.md")
	if err != nil {
		t.Fatal(err)
	}
	kong := read(t, "../../kong/kong.yml")
	t.Chdir(t.TempDir())
	if err := os.Mkdir("kong", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "kong/kong.yml", kong)

	const fence = "```"
	text := read(t, page)
	parts := strings.Split(text, fence) // every other one is a block, which begins with its language
	files := []string{"splits.yaml", "ramp.yaml", "kong.yml"}
	servers := regexp.MustCompile(`^(status|top|demo|doctor|patch|companion)\b`) // what these show is about running servers, or a file that they change
	compared := 0
	for i := 1; i < len(parts); i += 2 {
		language, content, _ := strings.Cut(parts[i], "\n")
		if language == "yaml" {
			write(t, files[0], content)
			files = files[1:]
		}
		command, ok := strings.CutPrefix(content, "splitctl ")
		if !ok || strings.Contains(command, ">") || i+2 >= len(parts) || servers.MatchString(command) {
			continue
		}
		language, shown, _ := strings.Cut(parts[i+2], "\n")
		got := output(t, strings.Fields(command))
		if diff := cmp.Diff(withoutRevision(shown), withoutRevision(got)); diff != "" && !*update {
			t.Errorf("splitctl %s (-shown +got; go test ./cmd/splitctl -update writes it)\n%s", command, diff)
		}
		parts[i+2] = language + "\n" + got
		compared++
	}
	if compared != 7 {
		t.Errorf("compared the output of %d examples, want 7", compared)
	}
	if *update {
		write(t, page, strings.Join(parts, fence))
	}
}

// TestConfigurationsOfDocs: each configuration that a page shows is taken: a file of
// Kong's, a split file, or the config of one split, or the ramp of one, or a manifest.
func TestConfigurationsOfDocs(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```|^cat > \\S+ <<END\n(.*?)^END$")
	t.Chdir(t.TempDir())
	taken := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		switch filepath.Base(page) {
		case "observability.md", "kubernetes.md": // they show configurations of Prometheus, of controllers and of Helm's
			continue
		}
		for _, block := range shown.FindAllStringSubmatch(read(t, page), -1) {
			text := strings.ReplaceAll(block[1]+block[2], "$(date -u +%Y-%m-%dT%H:%M:%SZ)", "2026-12-01T10:00:00Z")
			if strings.HasPrefix(text, "ramp:") {
				text = "backends: [{name: stable, host: stable}, {name: canary, host: canary}]\n" + text
			}
			if strings.HasPrefix(text, "backends:") || strings.HasPrefix(text, "max_ejected:") {
				text = "splits:\n  shop:\n    " + strings.ReplaceAll(text, "\n", "\n    ")
			}
			write(t, "shown.yml", text)
			command := rootCommand()
			command.SetArgs([]string{"simulate", "shown.yml", "--requests", "1"})
			if strings.HasPrefix(text, "apiVersion:") { // a manifest
				command.SetArgs([]string{"convert", "shown.yml"})
			}
			command.SetOut(io.Discard)
			if err := command.Execute(); err != nil {
				t.Errorf("%s shows what is refused: %v\n%s", page, err, text)
			}
			if findings := check.Files([]check.Source{{Name: "shown.yml", Data: []byte(text)}}, check.Options{}); check.HasErrors(findings) {
				t.Errorf("%s shows what check finds errors in: %v\n%s", page, check.Findings(findings), text)
			}
			taken++
		}
	}
	if taken < 8 {
		t.Errorf("found %d configurations, so they are not looked for in the right way", taken)
	}
}

// withoutRevision leaves out what follows from all parameters that there are.
func withoutRevision(text string) string {
	return regexp.MustCompile(`revision [0-9a-f]{12}`).ReplaceAllString(text, "revision")
}

func output(t *testing.T, arguments []string) string {
	t.Helper()
	var out bytes.Buffer
	command := rootCommand()
	command.SetArgs(arguments)
	command.SetOut(&out)
	if err := command.Execute(); err != nil {
		t.Fatalf("splitctl %q: %v", arguments, err)
	}
	return out.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
