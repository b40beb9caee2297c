package demo

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestProgressOfATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		p := &progress{to: &b, width: func() int { return 20 }, done: make(chan struct{})}
		ended := make(chan struct{})
		go func() { p.tick(); close(ended) }()
		p.show("compiling", "")
		time.Sleep(2500 * time.Millisecond)
		p.show("", "")
		time.Sleep(2 * time.Second)
		p.show("playing", "1 of 2")
		time.Sleep(2 * time.Second)
		p.show("playing", "a line that would be too long for it")
		p.close()
		<-ended
		const clear = "\r\x1b[K"
		want := clear + strings.Join([]string{"compiling", "compiling: 1s", "compiling: 2s", "", "1 of 2", "a line that would …", ""}, clear)
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestProgressOfAFile(t *testing.T) {
	var b strings.Builder
	p := progressOn(&b)
	p.show("compiling", "")
	p.show("", "")
	p.show("playing", "1 of 2")
	p.show("playing", "2 of 2")
	p.show("", "")
	p.show("playing", "1 of 2")
	p.show("measuring", "")
	p.close()
	if diff := cmp.Diff("compiling\nplaying\nmeasuring\n", b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestDemoOnATerminal: the progress is in one line, which neither wraps nor scrolls.
func TestDemoOnATerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("there is no command script, which has a terminal")
	}
	cmd := exec.CommandContext(t.Context(), script, "--quiet", "--return", "--command", "stty cols 80 rows 24 && exec '"+os.Args[0]+"' demo", os.DevNull)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var lines []string // with what was written over one another
	draws := 0
	for line := range strings.Lines(strings.ReplaceAll(out.String(), "\r\n", "\n")) {
		for _, text := range strings.Split(strings.TrimSuffix(line, "\n"), "\r\x1b[K") {
			if draws++; utf8.RuneCountInString(text) >= 80 {
				t.Errorf("it wraps: %q", text)
			}
		}
		lines = append(lines, line[strings.LastIndex(line, "\r\x1b[K")+1:])
	}
	if draws < 400 {
		t.Errorf("it has drawn %d times, so there is no progress: %q", draws, out.String())
	}
	left := regexp.MustCompile(`[\x00-\x08\x0b-\x1a]|\x1b[^\[]`).FindString(strings.Join(lines, ""))
	if len(lines) != 10 || left != "" {
		t.Errorf("%d lines, and %q in them, want the 10 of the results\n%q", len(lines), left, lines)
	}
}
