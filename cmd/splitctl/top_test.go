package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"kong-traffic-split/plugin"
	"kong-traffic-split/plugin/status"
)

// oddName would write into the title of a terminal's window, and clear the screen.
const oddName = "shop\x1b]0;title\a\x1b[2J"

// oddServer returns the address of a server that reports a split, and a channel that is closed
// when it was asked twice.
func oddServer(t *testing.T) (address string, twice <-chan struct{}) {
	asked, done := atomic.Int32{}, make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(&status.Report{
			Version: "1", Healthy: true, Wrong: []string{},
			Splits: []plugin.SplitStatus{{Split: oddName, Backends: []plugin.BackendStatus{{Name: "stable", Share: 1, Up: new(true)}}}},
		})
		if asked.Add(1) == 2 {
			close(done)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), done
}

// On a terminal it shows servers until q is pressed. What they say does nothing to the
// terminal, and there are colours unless the user wants none.
func TestTopOnATerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("there is no command script, which has a terminal")
	}
	for name, c := range map[string]struct {
		variable string
		colours  bool
	}{"colours": {"X=", true}, "none": {"NO_COLOR=1", false}} {
		t.Run(name, func(t *testing.T) {
			address, twice := oddServer(t)
			cmd := exec.CommandContext(t.Context(), script, "--quiet", "--return", "--command", "stty cols 80 rows 24 && exec '"+os.Args[0]+"' top "+address, os.DevNull)
			cmd.Env = append(os.Environ(), asCommand+"=1", "TERM=xterm-256color", "COLORTERM=", "NO_COLOR=", "CLICOLOR_FORCE=", c.variable)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			keyboard, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-twice
			if _, err := io.WriteString(keyboard, "q"); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%q", err, out.String())
			}
			text := out.String()
			if !strings.Contains(text, "stable") || !strings.Contains(text, "shop ]0;title  [2J") || strings.Contains(text, "\x1b]0;title") {
				t.Errorf("it does not show what the server reports as text: %q", text)
			}
			if blue := strings.Contains(text, "\x1b[34m") || strings.Contains(text, ";34m"); blue != c.colours {
				t.Errorf("it has colours: %v, want %v: %q", blue, c.colours, text)
			}
		})
	}
}

// Where there is no terminal, it is what status shows, and has the same exit status.
func TestTopWithoutATerminal(t *testing.T) {
	address, _ := oddServer(t)
	for _, args := range [][]string{{"top", address}, {"top", "--once", address}, {"status", address}} {
		var out strings.Builder
		cmd := rootCommand()
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		want := address + `: traffic-split 1

shop ]0;title  [2J  revision
  backend    share      got  ▀ share ▄ got                req/s   failed    mean
  stable  100.00 %        -  ▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀▀       -        -       -
`
		if out.String() != want {
			t.Errorf("%q: got\n%s\nwant\n%s", args, out.String(), want)
		}
	}
	cmd := rootCommand()
	cmd.SetArgs([]string{"top", "--once", "127.0.0.1:1", address})
	var out strings.Builder
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	const away = `127.0.0.1:1: Get "http://127.0.0.1:1/status": dial tcp 127.0.0.1:1: connect: connection refused`
	if err == nil || err.Error() != away || !strings.HasPrefix(out.String(), "wrong:\n  127.0.0.1:1: away: Get ") || !strings.Contains(out.String(), "\n"+address+": traffic-split 1\n") {
		t.Errorf("got %v\n%s", err, out.String())
	}
}
