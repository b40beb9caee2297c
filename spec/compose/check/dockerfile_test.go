package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// dockerfile reads kong/Dockerfile as BuildKit does.
func dockerfile(t *testing.T) ([]instructions.Stage, []instructions.ArgCommand) {
	t.Helper()
	f, err := os.Open(root + "/kong/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parsed, err := parser.Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	stages, args, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stages, args
}

func stage(t *testing.T, name string) instructions.Stage {
	t.Helper()
	stages, _ := dockerfile(t)
	i := slices.IndexFunc(stages, func(s instructions.Stage) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("kong/Dockerfile has no stage %s", name)
	}
	return stages[i]
}

// only returns a stage's commands of one kind.
func only[C instructions.Command](s instructions.Stage) []C {
	var found []C
	for _, command := range s.Commands {
		if c, ok := command.(C); ok {
			found = append(found, c)
		}
	}
	return found
}

// copied is the COPY of a path of the stage that builds.
func copied(t *testing.T, s instructions.Stage, source string) *instructions.CopyCommand {
	t.Helper()
	for _, c := range only[*instructions.CopyCommand](s) {
		if slices.Equal(c.SourcePaths, []string{source}) && c.From == "build" {
			return c
		}
	}
	t.Fatalf("stage %s does not copy %s from stage build", s.Name, source)
	return nil
}

// Each service of ours is built from a stage that there is, and Kong's image is
// the same in both files.
func TestStages(t *testing.T) {
	stages, args := dockerfile(t)
	names := []string{}
	for _, s := range stages {
		names = append(names, s.Name+" from "+s.BaseName)
	}
	want := []string{"build from golang:" + goVersion(t), "echo from scratch", "traffic-split from scratch", "build-controller from build", "traffic-split-controller from scratch", "kong from ${KONG_IMAGE}"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	services := everything(t).Services
	if image := services["kong"].Image; len(args) != 1 || args[0].Args[0].Value == nil || *args[0].Args[0].Value != image {
		t.Errorf("the Dockerfile's KONG_IMAGE is not %s: %v", image, args)
	}
	targets := map[string]string{}
	for name, s := range services {
		if s.Build == nil {
			continue
		}
		targets[name] = s.Build.Target
		if file := filepath.Join(s.Build.Context, s.Build.Dockerfile); !sameFile(t, file, root+"/kong/Dockerfile") {
			t.Errorf("%s is built with %s", name, file)
		}
	}
	wantTargets := map[string]string{"echo": "echo", "echo2": "echo", "traffic-split": "traffic-split", "kong-managed": "kong"}
	if diff := cmp.Diff(wantTargets, targets); diff != "" {
		t.Errorf("targets (-want +got)\n%s", diff)
	}
}

// An image with nothing in it but a static executable runs it as nobody in
// particular, by number, since there is no /etc/passwd.
func TestImagesFromScratch(t *testing.T) {
	for name, folders := range map[string]map[string]string{
		"echo":          nil,
		"traffic-split": {"/run/traffic-split": "/out/run", "/var/lib/traffic-split": "/out/state"},
	} {
		s := stage(t, name)
		users := only[*instructions.UserCommand](s)
		if len(users) != 1 || users[0].User != "65532:65532" {
			t.Errorf("%s: USER %v", name, users)
		}
		executable := copied(t, s, "/out/"+name)
		entry := only[*instructions.EntrypointCommand](s)
		if len(entry) != 1 || entry[0].PrependShell || !slices.Equal(entry[0].CmdLine, []string{executable.DestPath}) {
			t.Errorf("%s: ENTRYPOINT %v does not run %s", name, entry, executable.DestPath)
		}
		if executable.Chown != "" {
			t.Errorf("%s: its user may change %s", name, executable.DestPath)
		}
		if service := everything(t).Services[name]; service.HealthCheck.Test[1] != executable.DestPath {
			t.Errorf("%s: the health check runs %q", name, service.HealthCheck.Test)
		}
		// A new volume takes over the owner of the folder that it hides.
		for folder, source := range folders {
			made := copied(t, s, source)
			mount := mountOf(t, everything(t).Services[name], folder+"/x")
			if made.DestPath != folder || made.Chown != users[0].User || mount.Target != folder || mount.Volume != nil && mount.Volume.NoCopy {
				t.Errorf("%s: %s belongs to %q, and %+v is mounted", name, made.DestPath, made.Chown, mount)
			}
		}
	}
}

// Kong's own user stays the one that runs.
func TestImageFromKong(t *testing.T) {
	s := stage(t, "kong")
	if len(s.Commands) != 1 {
		t.Errorf("more than a copy: %v", s.Commands)
	}
	copied(t, s, "/out/traffic-split")
}

// Debian's docker.io builds without BuildKit.
func TestBuildsWithoutBuildKit(t *testing.T) {
	stages, _ := dockerfile(t)
	static := false
	for _, s := range stages {
		for _, run := range only[*instructions.RunCommand](s) {
			if len(run.FlagsUsed) > 0 || len(run.Files) > 0 {
				t.Errorf("%s needs BuildKit", run)
			}
			line := strings.Join(run.CmdLine, " ")
			static = static || strings.Contains(line, "CGO_ENABLED=0 go build") && strings.HasSuffix(line, "./cmd/traffic-split ./cmd/echo")
		}
		for _, c := range only[*instructions.CopyCommand](s) {
			if c.Link || c.Parents || len(c.ExcludePatterns) > 0 || len(c.SourceContents) > 0 || c.Chmod != "" {
				t.Errorf("%s needs BuildKit", c)
			}
		}
		if added := only[*instructions.AddCommand](s); len(added) > 0 {
			t.Errorf("%v: COPY does, and fetches nothing", added)
		}
	}
	if !static {
		t.Error("nothing builds both executables without cgo")
	}
}

// What the build reads gets to it, and nothing of the rest: a change of the
// documentation does not build anew.
func TestBuildContext(t *testing.T) {
	f, err := os.Open(root + "/.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	ignored := map[string]bool{
		".git/HEAD": true, "README.md": true, "docker-compose.yml": true, "spec/spec_test.go": true,
		"kong/Dockerfile": true, "kong/kong.yml": true, "kong/observability/alerts.yml": true, "cmd/echo/main_test.go": true, "go.mod": false, "go.sum": false,
	}
	for _, file := range sources(t) {
		ignored[file] = false
	}
	for file, want := range ignored {
		got, err := matcher.MatchesOrParentMatches(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: ignored %t, want %t", file, got, want)
		}
	}
}

// sources are the files of which the two executables are built.
func sources(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,Module,GoFiles,EmbedFiles", "./cmd/traffic-split", "./cmd/echo")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var files []string
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir                 string
			Module              *struct{ Dir, Path string }
			GoFiles, EmbedFiles []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Path != "kong-traffic-split" {
			continue
		}
		for _, name := range append(p.GoFiles, p.EmbedFiles...) {
			file, err := filepath.Rel(p.Module.Dir, filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.ToSlash(file))
		}
	}
	if !slices.Contains(files, "cmd/echo/main.go") || !slices.Contains(files, "cmd/traffic-split/main.go") {
		t.Fatalf("go list found %q", files)
	}
	return files
}

// goVersion is the release of Go that go.mod asks for, without the patch.
func goVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if version, found := strings.CutPrefix(strings.TrimSpace(line), "go "); found {
			major, rest, _ := strings.Cut(version, ".")
			minor, _, _ := strings.Cut(rest, ".")
			return major + "." + minor
		}
	}
	t.Fatal("go.mod names no version of Go")
	return ""
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Stat(a)
	if err != nil {
		t.Error(err)
		return false
	}
	other, err := os.Stat(b)
	if err != nil {
		t.Error(err)
		return false
	}
	return os.SameFile(one, other)
}
