package spec

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// clock is what package time has that reads the clock or waits for it.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// TestTheCoreIsAFunction: the core decides from what it is given, the time
// included, and does all its work before it returns. That it has no random
// numbers of its own, TestHouse holds by its imports.
func TestTheCoreIsAFunction(t *testing.T) {
	core := list(t, module+"/plugin/split")[module+"/plugin/split"]
	if len(core.GoFiles) == 0 {
		t.Fatal("the core has no files")
	}
	files := token.NewFileSet()
	for _, name := range core.GoFiles {
		file, err := parser.ParseFile(files, filepath.Join(core.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		clockName := importedAs(t, file, "time")
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: starts a goroutine: the caller decides what runs at the same time", files.Position(n.Pos()))
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && x.Name == clockName && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s: time.%s: the time is a fact that the caller brings", files.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// importedAs is the name of an imported package within a file, empty where it
// is not imported.
func importedAs(t *testing.T, file *ast.File, importPath string) string {
	t.Helper()
	for _, spec := range file.Imports {
		if found, err := strconv.Unquote(spec.Path.Value); err != nil || found != importPath {
			continue
		}
		switch {
		case spec.Name == nil:
			return path.Base(importPath)
		case spec.Name.Name == ".":
			t.Errorf("%s is imported with a dot, which hides what is used of it", importPath)
		}
		return spec.Name.Name
	}
	return ""
}
