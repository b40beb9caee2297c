package spec

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFirstRollout types what the README says of the first rollout, on other ports, and
// asks who answers after each step.
func TestFirstRollout(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	text := textOf(t, "../README.md")
	for _, port := range []string{"9101", "9102", "8000", "8001", "8007"} {
		free, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, port, strconv.Itoa(free))
	}
	_, text, _ = strings.Cut(text, "\n## Your first rollout in ten minutes\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var commands []string
	var file, shown string
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		switch block[1] {
		case "sh":
			commands = append(commands, block[2])
		case "yaml":
			file = block[2]
		default:
			shown = block[2]
		}
	}
	if len(commands) != 7 {
		t.Fatalf("the README has %d blocks of commands, not the 7 that this test knows: make, start, ask, widen, watch, finish, go back", len(commands))
	}
	start, ask, widen, watch, finish, back := commands[1], commands[2], commands[3], commands[4], commands[5], commands[6]

	dir := t.TempDir()
	bin := build(t)
	for _, name := range []string{"echo", "traffic-split", "splitctl"} { // as the first block does
		if err := os.Symlink(filepath.Join(bin, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "shop.yml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`http://\S+/shop/hostname`).FindString(ask)
	silent := func(block string) string { return strings.ReplaceAll(block, "/config\n", "/config > answer\n") }
	until := "curl -s -o answer --retry 60 --retry-delay 1 --retry-connrefused " + address
	script := strings.Join([]string{
		"exec 3>&1 > log 2>&1", // what is started goes on to write
		start,
		until + "\n" + until + " -H 'X-Tester: yes'",
		"exec >&3",
		ask,
		silent(widen),
		"{\n" + watch + "} > watched",
		silent(finish) + "curl -s -w '\\n' " + address,
		silent(back) + "curl -s -w '\\n' " + address,
		"kill $(jobs -p)",
		"wait",
	}, "\n")
	shell := exec.CommandContext(t.Context(), "bash", "-c", script)
	shell.Dir = dir
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	shell.Stdout = &out
	if err := shell.Run(); err != nil {
		t.Logf("bash: %v", err) // what was ended by a signal
	}
	if diff := cmp.Diff("v1\nv2\n"+shown+"v2\nv1\n", out.String()); diff != "" {
		t.Errorf("who answers (-want +got):\n%s\nthe log:\n%s", diff, textOf(t, filepath.Join(dir, "log")))
	}
	watched := textOf(t, filepath.Join(dir, "watched"))
	for _, want := range []string{`traffic_split_backend_share{backend="canary",`, `"share": 0.1`} {
		if !strings.Contains(watched, want) {
			t.Errorf("who watches does not see %s in:\n%s", want, watched)
		}
	}
}
