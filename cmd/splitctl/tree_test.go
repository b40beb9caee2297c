package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kong-traffic-split/plugin"
)

// walk calls visit for a command and those below it.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// silent are commands without an output to choose the form of: what they write is another
// tool's input, or a terminal's picture, or a log.
var silent = []string{"splitctl", "splitctl convert", "splitctl ramp", "splitctl standin", "splitctl top", "splitctl man"}

// TestCommandsAreAlike: all commands take --output in the same way, check their arguments,
// say what they are for, and leave it to main to write errors.
func TestCommandsAreAlike(t *testing.T) {
	root := rootCommand()
	if !root.SilenceErrors || !root.SilenceUsage {
		t.Error("errors and usage are written twice")
	}
	page := read(t, "../../docs/splitctl.md")
	walk(root, func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short text %q is missing, or ends with a period", path, cmd.Short)
		}
		if cmd.Runnable() && cmd.Args == nil && cmd.Name() != "patch" && cmd.Name() != "convert" {
			t.Errorf("%s does not check how many arguments it gets", path)
		}
		name := strings.TrimPrefix(path, "splitctl ")
		if name != "splitctl" && !strings.Contains(page, name) {
			t.Errorf("docs/splitctl.md does not know %s", path)
		}
		output := cmd.Flags().Lookup("output")
		isSilent := false
		for _, s := range silent {
			isSilent = isSilent || s == path
		}
		switch {
		case isSilent && output != nil:
			t.Errorf("%s has --output, and is among those that have not", path)
		case !isSilent && output == nil:
			t.Errorf("%s has no --output", path)
		case output != nil && (output.Shorthand != "o" || output.DefValue != "text" || !strings.Contains(output.Usage, "json")):
			t.Errorf("%s: -%s, --output %s (%s) is not as that of others", path, output.Shorthand, output.DefValue, output.Usage)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s: the text of --%s is missing, or ends with a period: %q", path, f.Name, f.Usage)
			}
			if strings.Contains(f.Usage, "may be repeated") != (f.Value.Type() == "stringArray" || f.Value.Type() == "stringToString") {
				t.Errorf("%s: --%s is a %s, and its text says something else: %q", path, f.Name, f.Value.Type(), f.Usage)
			}
		})
	})
}

// TestOutputIsChecked: a form of output that a command does not have is refused before
// anything else is done.
func TestOutputIsChecked(t *testing.T) {
	for _, args := range []string{
		"explain x", "simulate x", "check x", "set a b=1 --file x", "drain a b --file x", "ramp start a b --file x", "ramp hold a --file x",
		"ramp widen a --file x", "patch x -p []", "doctor --status x", "status x", "demo",
	} {
		cmd := rootCommand()
		cmd.SetArgs(append(strings.Fields(args), "--output", "xml"))
		err := cmd.Execute()
		if err == nil || !strings.Contains(err.Error(), `--output "xml" is not one of ["text" "json"`) {
			t.Errorf("%s --output xml: %v", args, err)
		}
	}
}

// TestVersionOfSplitctl: --version is what /status calls the server's version.
func TestVersionOfSplitctl(t *testing.T) {
	if got := output(t, []string{"--version"}); got != "splitctl "+plugin.Version+"\n" {
		t.Errorf("%q", got)
	}
}

// TestManualPages: each command has one, and the same commands make the same.
func TestManualPages(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1795910400")
	folder := filepath.Join(t.TempDir(), "man1")
	output(t, []string{"man", folder})
	first := map[string]string{}
	walk(rootCommand(), func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		text := read(t, filepath.Join(folder, name))
		if !strings.Contains(text, ".SH NAME") || !strings.Contains(text, "splitctl") {
			t.Errorf("%s: %s", name, text)
		}
		first[name] = text
	})
	output(t, []string{"man", folder})
	for name, text := range first {
		if again := read(t, filepath.Join(folder, name)); again != text {
			t.Errorf("%s is another one when it is made again", name)
		}
	}
}

// TestCompletion: names and values are completed.
func TestCompletion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "splits.yaml")
	write(t, path, "splits:\n  shop:\n    backends: [{name: stable, host: a}, {name: canary, host: b}]\n  news:\n    backends: [{name: old, host: a}]\n")
	manifest := filepath.Join(t.TempDir(), "route.yaml")
	write(t, manifest, "kind: Service\nmetadata: {name: echo}\n---\nkind: List\nitems: [{kind: HTTPRoute, metadata: {name: echo, namespace: shop}}]\n")
	for _, tt := range []struct {
		args string
		want string // without the descriptions
	}{
		{"explain " + path + " --split ", "news shop"},
		{"explain " + path + " --split shop --down ", "stable canary"},
		{"simulate " + path + " --fail ", "old= stable= canary="},
		{"simulate " + path + " --output ", "text json svg"},
		{"check --output ", "text json github sarif"},
		{"convert --to ", "kong splits kic native"},
		{"convert --flavor ", "traditional_compatible expressions"},
		{"patch --type ", "json"},
		{"patch -p x " + manifest + " ", "service/echo httproute/echo"},
		{"patch -p x " + manifest + " -n shop ", "httproute/echo"},
		{"patch -p x -f " + manifest + " ", "service/echo httproute/echo"},
		{"patch -p x -f " + manifest + " httproute/echo ", ""},
		{"patch -p x /none ", ""},
		{"standin --router-flavor ", "traditional_compatible expressions"},
		{"set --file " + path + " ", "news shop"},
		{"set --file " + path + " shop ", "stable= canary="},
		{"set --file " + path + " shop stable=3 ", "canary="},
		{"drain --file " + path + " shop ", "stable canary"},
		{"ramp hold --file " + path + " ", "news shop"},
		{"ramp hold --file " + path + " shop ", ""},
		{"ramp start --file " + path + " shop canary --guard ", "rollback_to= max_error_ratio= max_error_excess= max_latency= quantile= min_requests= window= wait="},
		{"explain /none --split ", ""},
		{"status ", ""},
	} {
		var out bytes.Buffer
		cmd := rootCommand()
		args := strings.Split(tt.args, " ")
		cmd.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, args...))
		cmd.SetOut(&out)
		cmd.SetErr(&bytes.Buffer{})
		if err := cmd.Execute(); err != nil {
			t.Errorf("%s: %v", tt.args, err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, ":") {
				got = append(got, line)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s<TAB>: %q, want %q", tt.args, got, tt.want)
		}
	}
}
