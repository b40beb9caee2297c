package spec

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// The pages that readers have, from the folder of this package.
var pages = []string{"../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md", "../docs/*.md"}

// TestLinksOfDocs: what the pages link to is there, page or place on a page. Addresses of
// other hosts are not looked at.
func TestLinksOfDocs(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	found := 0
	for page, text := range readPages(t) {
		for _, m := range link.FindAllStringSubmatch(withoutBlocks(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere: %v", page, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s: there is no heading for %s", page, m[1])
			}
		}
	}
	if found < 100 {
		t.Errorf("found %d links, so they are not looked for in the right way", found)
	}
}

// TestPagesThatCodeNames: what the code and the files beside it call docs/….md is there.
func TestPagesThatCodeNames(t *testing.T) {
	page := regexp.MustCompile(`docs/[a-z0-9.-]+\.md(#[a-z0-9_-]+)?`)
	for path, text := range sources(t, ".go", ".yml", ".txtar", "Dockerfile", "run") {
		for _, name := range page.FindAllString(text, -1) {
			file, anchor, _ := strings.Cut(name, "#")
			target := filepath.Join("..", file)
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s names %s: %v", path, name, err)
			} else if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s names %s, and there is no such heading", path, name)
			}
		}
	}
}

// TestLogLinesOfDocs: a line of the server's log that the table of docs/operate.md
// explains is one that the code writes.
func TestLogLinesOfDocs(t *testing.T) {
	var code strings.Builder
	for path, text := range sources(t, ".go") {
		if !strings.HasSuffix(path, "_test.go") {
			code.WriteString(text)
		}
	}
	text := textOf(t, "../docs/operate.md")
	_, table, _ := strings.Cut(text, "## When something is wrong\n")
	found := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		if !regexp.MustCompile(`^\| (the server|a server|a log|the same with an error|the same, and in the log)`).MatchString(cells[0]) {
			continue
		}
		for i, quoted := range strings.Split(cells[0], "`") {
			if i%2 == 0 || strings.HasPrefix(quoted, "traffic_split_") || quoted == "INFO" {
				continue
			}
			// What stands for a value has no place in the code.
			for part := range strings.SplitSeq(quoted, "…") {
				found++
				part = strings.TrimSuffix(strings.TrimSpace(part), "1m0s")
				if !strings.Contains(code.String(), part) {
					t.Errorf("docs/operate.md explains %q, which the code does not say", part)
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d lines of logs, so they are not looked for in the right way", found)
	}
}

// TestReadmeIsShort: who meets the project for the first time reads it in one go.
func TestReadmeIsShort(t *testing.T) {
	const most = 1500
	if n := len(bytes.Fields([]byte(textOf(t, "../README.md")))); n > most {
		t.Errorf("README.md has %d words, and may have %d: move what only few readers need to docs", n, most)
	}
}

// readPages returns the text of each page.
func readPages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range pages {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no such page: %v", pattern, err)
		}
		for _, path := range paths {
			texts[path] = textOf(t, path)
		}
	}
	return texts
}

// sources returns the text of each file of the repository whose name ends like this.
func sources(t *testing.T, endings ...string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && slices.ContainsFunc(endings, func(end string) bool { return strings.HasSuffix(d.Name(), end) }) {
			texts[path] = textOf(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// anchors are the places on a page that a link may name: its headings, as GitHub makes
// anchors of them.
func anchors(t *testing.T, path string) (found []string) {
	t.Helper()
	for line := range strings.Lines(withoutBlocks(textOf(t, path))) {
		heading := strings.TrimLeft(line, "#")
		if heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		heading = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(strings.TrimSpace(heading), "$1")
		found = append(found, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, heading))
	}
	return found
}

// withoutBlocks leaves out what is between lines of ```.
func withoutBlocks(text string) string {
	parts := strings.Split("\n"+text, "\n```")
	for i := 1; i < len(parts); i += 2 {
		parts[i] = ""
	}
	return strings.Join(parts, "\n")
}

func textOf(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
