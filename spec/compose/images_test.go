package compose

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// makeImages makes the images of the project's services under the names that
// compose looks for, and of the stand-in in Kong's place; it returns the name
// of Kong's image. They go when the test ends.
func (s *stack) makeImages(t *testing.T) (kong string) {
	t.Helper()
	dir := t.TempDir()
	s.goBuild(t, filepath.Join(dir, "out"), "traffic-split", "echo")
	for _, folder := range []string{"run", "state"} { // of the volumes, as the first stage makes them
		if err := os.Mkdir(filepath.Join(dir, "out", folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "kong", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	// A label finds the images that nobody named.
	ours := "FROM scratch AS build\nLABEL made-for=" + s.project + "\nCOPY out /out\n"
	dockerfile, err := replaceFirstStage(string(text), ours)
	if err != nil {
		t.Fatalf("kong/Dockerfile: %v", err)
	}
	write(t, filepath.Join(dir, "Dockerfile"), dockerfile, 0o644)
	t.Cleanup(func() {
		s.clean(t, "image", "prune", "--force", "--filter", "label=made-for="+s.project)
	})

	if kong = os.Getenv("SPEC_KONG_IMAGE"); kong == "" {
		kong = s.makeStandin(t)
	}
	for service, target := range map[string]string{
		"traffic-split": "traffic-split", "echo": "echo", "echo2": "echo", "kong-managed": "kong",
	} {
		s.dockerBuild(t, dir, s.imageNames(service), "--target", target, "--build-arg", "KONG_IMAGE="+kong)
	}
	return kong
}

// replaceFirstStage puts a stage in the place of a Dockerfile's first one. What
// is before it, and the other stages, stay.
func replaceFirstStage(dockerfile, stage string) (string, error) {
	head, rest, _ := strings.Cut(dockerfile, "\nFROM ")
	first, rest, found := strings.Cut(rest, "\nFROM ")
	if !found || !strings.HasPrefix(first, "golang:") || !strings.Contains(first, " AS build\n") {
		return "", fmt.Errorf("its first of two or more stages is not the one that builds with Go:\nFROM %s", first)
	}
	return head + "\n" + stage + "\nFROM " + rest, nil
}

// imageNames are the names that compose gives to a service's image: version 1
// writes _ where version 2 writes -.
func (s *stack) imageNames(service string) []string {
	return []string{s.project + "_" + service, s.project + "-" + service}
}

// makeStandin makes an image that looks like Kong's from outside: a user of its
// own called kong, the command kong, a shell and cat.
func (s *stack) makeStandin(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil || !isStatic(busybox) {
		t.Skip("no static busybox for the stand-in's image; Debian has it in busybox-static")
	}
	dir := t.TempDir()
	s.goBuild(t, filepath.Join(dir, "usr", "local", "bin"), "splitctl")
	script, err := os.ReadFile(filepath.Join("testdata", "kong.sh"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "usr", "local", "bin", "kong"), string(script), 0o755)
	executable, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "bin", "busybox"), string(executable), 0o755)
	write(t, filepath.Join(dir, "etc", "passwd"), "root:x:0:0::/:/bin/sh\nkong:x:1001:1001::/:/bin/sh\n", 0o644)
	write(t, filepath.Join(dir, "etc", "group"), "root:x:0:\nkong:x:1001:\n", 0o644)
	write(t, filepath.Join(dir, "Dockerfile"), strings.Join([]string{
		"FROM scratch",
		"COPY . /",
		`RUN ["/bin/busybox", "--install", "-s", "/bin"]`,
		`RUN ["/bin/busybox", "mkdir", "-m", "1777", "/tmp"]`,
		"ENV PATH=/usr/local/bin:/bin",
		"USER kong",
		`CMD ["kong", "docker-start"]`,
		"",
	}, "\n"), 0o644)
	name := s.project + "-standin"
	s.dockerBuild(t, dir, []string{name})
	return name
}

// makePrometheus makes an image of the Prometheus that this machine has, as its own image
// looks from outside, and returns its name: empty where this machine has none.
func (s *stack) makePrometheus(t *testing.T) string {
	t.Helper()
	if name := os.Getenv("SPEC_PROMETHEUS_IMAGE"); name != "" {
		return name
	}
	dir := t.TempDir()
	for _, program := range []string{"prometheus", "promtool"} {
		executable, err := exec.LookPath(program)
		if err != nil {
			return ""
		}
		needs, err := exec.CommandContext(t.Context(), "ldd", executable).Output()
		if err != nil && !isStatic(executable) {
			return ""
		}
		s.copyFile(t, executable, filepath.Join(dir, "bin", program))
		for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(needs), -1) {
			s.copyFile(t, library, filepath.Join(dir, library))
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "Dockerfile"), strings.Join([]string{
		"FROM scratch",
		"COPY . /",
		"COPY --chown=65534:65534 data /prometheus",
		"ENV PATH=/bin",
		"USER 65534:65534",
		`ENTRYPOINT ["/bin/prometheus"]`,
		"",
	}, "\n"), 0o644)
	name := s.project + "-prometheus"
	s.dockerBuild(t, dir, []string{name})
	return name
}

func (s *stack) copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(content), 0o755)
}

// goBuild builds commands of this tree into dir, for the engine's containers.
func (s *stack) goBuild(t *testing.T, dir string, commands ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	target := *s.engine
	target.env = append(slices.Clone(s.env), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+s.arch)
	args := []string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, c := range commands {
		args = append(args, "./cmd/"+c)
	}
	if _, err := target.run(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}

// dockerBuild builds an image from dir, under names that go when the test ends.
func (s *stack) dockerBuild(t *testing.T, dir string, names []string, args ...string) {
	t.Helper()
	for _, name := range names {
		args = append(args, "--tag", name)
	}
	if _, err := s.docker(t.Context(), append(append([]string{"build", "--quiet"}, args...), dir)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.clean(t, append([]string{"image", "rm"}, names...)...) })
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// isStatic reports whether an executable of Linux needs no library.
func isStatic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}
