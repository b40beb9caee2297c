package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is the one whose commands can be built from the working directory.
const module = "kong-traffic-split"

// programs are the executables that the demo starts.
type programs struct {
	plugin, echo string
}

// findOrBuild returns the executables that lie beside the running one, or else
// builds them into dir from the source in the working directory.
func findOrBuild(ctx context.Context, dir string) (programs, error) {
	if p, ok := beside(); ok {
		return p, nil
	}
	if err := build(ctx, dir); err != nil {
		return programs{}, fmt.Errorf("traffic-split and echo do not lie beside this executable, and cannot be built: %w", err)
	}
	return in(dir), nil
}

func in(dir string) programs {
	return programs{plugin: filepath.Join(dir, "traffic-split"), echo: filepath.Join(dir, "echo")}
}

func beside() (programs, bool) {
	self, err := os.Executable()
	if err != nil {
		return programs{}, false
	}
	p := in(filepath.Dir(self))
	_, err1 := exec.LookPath(p.plugin)
	_, err2 := exec.LookPath(p.echo)
	return p, err1 == nil && err2 == nil
}

func build(ctx context.Context, dir string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no go command in $PATH")
	}
	name, source, _ := strings.Cut(strings.TrimSpace(string(root)), " ")
	if err != nil || name != module {
		return fmt.Errorf("the working directory is not in the source of %s: change to its folder", module)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", dir+string(filepath.Separator), "./cmd/traffic-split", "./cmd/echo")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
