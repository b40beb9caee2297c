package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	files := []string{"splits.yaml", "ramp.yaml"}
	compared := 0
	for i := 1; i < len(parts); i += 2 {
		language, content, _ := strings.Cut(parts[i], "\n")
		if language == "yaml" {
			write(t, files[0], content)
			files = files[1:]
		}
		command, ok := strings.CutPrefix(content, "splitctl ")
		if !ok || strings.Contains(command, ">") || i+2 >= len(parts) {
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
	if compared != 5 {
		t.Errorf("compared the output of %d examples, want 5", compared)
	}
	if *update {
		write(t, page, strings.Join(parts, fence))
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
