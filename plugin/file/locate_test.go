package file

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/config"
)

// outline has a line for each value of a tree: place, path and value.
func outline(n *config.Node, path string) string {
	at := fmt.Sprintf("%d:%d %s", n.Line, n.Column, path)
	switch n.Kind {
	case config.Bool:
		return fmt.Sprintf("%s %t\n", at, n.Bool)
	case config.Number, config.String:
		return fmt.Sprintf("%s %s\n", at, n.Text)
	case config.Fault:
		return fmt.Sprintf("%s fault: %s\n", at, n.Text)
	case config.List:
		at += " list\n"
		for i, item := range n.Items {
			at += outline(item, fmt.Sprintf("%s[%d]", path, i))
		}
		return at
	case config.Map:
		at += " map\n"
		for _, m := range n.Members {
			at += fmt.Sprintf("%d:%d key\n", m.Line, m.Column) + outline(m.Value, config.Join(path, m.Key))
		}
		return at
	}
	return at + " nothing\n"
}

func TestLocate(t *testing.T) {
	const text = `
base: &base {a: 1, b: two}
more: [{c: 3}]
top:
- skipped
- config:
    <<: [*base]
    b: yes
    list:
    - *base
    - ~
`
	value := map[string]any{
		"a": 1.0, "b": true, "made_up": map[string]any{"x": "y"},
		"list": []any{map[string]any{"a": 1.0}, nil, 1.5, math.Inf(1), "\xff"},
	}
	got := outline(Locate(text, value, "top", 1, "config"), "")
	want := strings.TrimPrefix(`
7:5  map
2:14 key
2:17 a 1
8:5 key
8:8 b true
9:5 key
10:5 list list
2:7 list[0] map
2:14 key
2:17 list[0].a 1
11:7 list[1] nothing
10:5 list[2] 1.5
10:5 list[3] fault: +Inf is not a number
10:5 list[4] fault: has bytes in it that are not UTF-8
7:5 key
7:5 made_up map
7:5 key
7:5 made_up.x y
`, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Without the text, or a way through it, there is the value all the same.
func TestLocateWhatIsNotThere(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		steps      []any
	}{
		{"a: [", "0:0  7\n", nil},
		{"a: 1", "1:1  7\n", []any{"b", 0}},
		{"a: [1]", "1:4  7\n", []any{"a", 1}},
		{"a: &a {<<: *a}", "1:4  7\n", []any{"a", "b"}},
	} {
		if got := outline(Locate(tt.text, 7.0, tt.steps...), ""); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}
