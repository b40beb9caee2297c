package spec

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kong-traffic-split/kong/wire"
)

// What our packages call of Kong's PDK, by a method of go-pdk or by its name, is
// wire.Methods: the stand-in offers those, and what nobody calls it would offer to
// nobody.
func TestMethodsThatAreCalled(t *testing.T) {
	all := compile(t)
	called := map[string]string{} // where, by method
	for _, p := range all {
		if strings.HasPrefix(p.ImportPath, module+"/") && slices.Contains(p.Imports, pdk) {
			all.callsOf(t, p, called)
		}
	}
	listed := map[string]bool{}
	for _, m := range wire.Methods {
		listed[m.Name] = true
		if called[m.Name] == "" {
			t.Errorf("%s is in wire.Methods, and nobody calls it", m.Name)
		}
	}
	for method, where := range called {
		if !listed[method] {
			t.Errorf("%s: %s is called, and is not in wire.Methods", where, method)
		}
	}
}

// compiled is a package as the go command and its compiler describe it.
type compiled struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
}

// packages are our own and all that they import, by import path.
type packages map[string]compiled

func compile(t *testing.T) packages {
	t.Helper()
	list(t, module+"/...") // so that the go command notices when one of them changes
	out, err := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := packages{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p compiled
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// callsOf notes where a package names a method of Kong's PDK, or uses a method of
// go-pdk that does.
func (all packages) callsOf(t *testing.T, p compiled, called map[string]string) {
	t.Helper()
	fset := token.NewFileSet()
	files := p.parse(t, fset)
	uses := map[*ast.Ident]types.Object{}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(all[path].Export)
	})}
	if _, err := conf.Check(p.ImportPath, fset, files, &types.Info{Uses: uses}); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for n := range ast.Preorder(file) {
			if method := methodNamed(n); method != "" {
				called[method] = fset.Position(n.Pos()).String()
			}
		}
	}
	for ident, object := range uses {
		f, ok := object.(*types.Func)
		if ok && f.Pkg() != nil && strings.HasPrefix(f.Pkg().Path(), pdk+"/") {
			for _, method := range all[f.Pkg().Path()].methodsBehind(t, f.Name()) {
				called[method] = fset.Position(ident.Pos()).String()
			}
		}
	}
}

// methodsBehind are the methods of Kong's PDK that are named by a function of the
// package, or by one of the package that it uses.
func (p compiled) methodsBehind(t *testing.T, function string) (methods []string) {
	t.Helper()
	bodies := map[string]*ast.BlockStmt{}
	for _, file := range p.parse(t, token.NewFileSet()) {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				bodies[d.Name.Name] = d.Body
			}
		}
	}
	for pending := []string{function}; len(pending) > 0; pending = pending[1:] {
		body := bodies[pending[0]]
		if body == nil {
			continue
		}
		delete(bodies, pending[0])
		for n := range ast.Preorder(body) {
			if method := methodNamed(n); method != "" {
				methods = append(methods, method)
			}
			if used, ok := n.(*ast.SelectorExpr); ok {
				pending = append(pending, used.Sel.Name)
			}
		}
	}
	return methods
}

func (p compiled) parse(t *testing.T, fset *token.FileSet) (files []*ast.File) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// methodName is what the names of Kong's methods look like.
var methodName = regexp.MustCompile(`^kong(\.[a-z0-9_]+)+$`)

// methodNamed is the method of Kong's PDK that a string in the source names, else empty.
func methodNamed(n ast.Node) string {
	literal, ok := n.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	name, err := strconv.Unquote(literal.Value)
	if err != nil || !methodName.MatchString(name) || slices.Contains([]string{".yml", ".json"}, filepath.Ext(name)) {
		return ""
	}
	return name
}
