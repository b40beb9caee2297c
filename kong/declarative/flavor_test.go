package declarative

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExpressions has the answers of Kong 3.9.3 with router_flavor = expressions.
func TestExpressions(t *testing.T) {
	loader, err := NewLoaderFor(Expressions, []string{"bundled"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const failed = "Router Expression failed validation: "
	at := func(column int, text, mark, reason string) string {
		return fmt.Sprintf("%s --> 1:%d\n  |\n1 | %s\n  | %*s%s\n  |\n  = %s", failed, column, text, column-1, "", mark, reason)
	}
	for _, tt := range []struct {
		route string
		field string // empty: @entity
		want  string // empty: it is taken
	}{
		{`expression: 'http.path == "/"'`, "", ""},
		{`expression: 'http.path == "/"', priority: 70368744177663`, "", ""},
		{`expression: 'http.method == "GET"', methods: []`, "", ""},
		{`paths: [/]`, "", ""},
		{`sources: [{ip: 10.0.0.0/8}], paths: [/]`, "", ""},
		{`expression: 'net.port == 80'`, "", ""},
		{`protocols: [tcp], expression: 'net.dst.port == 80'`, "", ""},
		{`protocols: [grpc], strip_path: false, expression: 'http.path == "/"'`, "", ""},
		{`expression: 'http.path'`, "", at(10, `http.path`, "^---", "expected binary_operator")},
		{`expression: 'http.path = "/"'`, "", at(11, `http.path = "/"`, "^---", "expected binary_operator")},
		{`expression: 'http.path == "/" &&'`, "", at(20, `http.path == "/" &&`, "^---", "expected term")},
		{`expression: 'http.path == "/" || '`, "", at(21, `http.path == "/" || `, "^---", "expected term")},
		{`expression: '(http.path == "/"'`, "", at(18, `(http.path == "/"`, "^---", "expected and_op or or_op")},
		{`expression: 'http.path == "/" x'`, "", at(18, `http.path == "/" x`, "^---", "expected EOI, and_op, or or_op")},
		{`expression: 'http.path == "\x"'`, "", at(15, `http.path == "\x"`, "^---", "expected str_char or str_esc")},
		{`expression: '!http.path == ""'`, "", at(1, `!http.path == ""`, "^---", "expected term")},
		{`expression: 'upper(http.path) == ""'`, "", at(1, `upper(http.path) == ""`, "^--------------^", "unknown transformation function: upper")},
		{`expression: 'net.src.ip in 10.0.0.1/8'`, "", at(15, `net.src.ip in 10.0.0.1/8`, "^--------^", "host part of address was not zero")},
		{`expression: 'http.path == 1'`, "", failed + "Type mismatch between the LHS and RHS values of predicate"},
		{`expression: 'net.dst.port > "10"'`, "", failed + "Type mismatch between the LHS and RHS values of predicate"},
		{`expression: 'http.foo == "/"'`, "", failed + "Unknown LHS field"},
		{`expression: 'http.queries.a.b == "x"'`, "", failed + "Unknown LHS field"},
		{`protocols: [tcp], expression: 'http.path == "/"'`, "", failed + "Unknown LHS field"},
		{`expression: 'lower(net.dst.port) == 1'`, "", failed + "lower-case transformation function only supported with String type fields"},
		{`expression: 'net.dst.port in 10'`, "", failed + "In/NotIn operators only supports IP in CIDR"},
		{`expression: 'http.path contains "x" && http.path.segments.2_1 == ""'`, "", failed + "illformed http.path.segments.* field"},
		{`expression: 'http.path == "/"', paths: [/]`, "", failed + "cannot set 'expression' with 'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations' simultaneously"},
		{`expression: 'http.path == "/"', regex_priority: 2`, "", failed + "cannot set 'regex_priority' with 'expression' simultaneously"},
		{`priority: 3, paths: [/]`, "", failed + "cannot set 'priority' with 'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations' simultaneously"},
		{`priority: 3`, "", "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis', 'expression' when 'protocols' is 'https'"},
		{`expression: 'http.path == "/"', priority: 70368744177664`, "priority", "value should be between 0 and 70368744177663"},
		{`expression: 5`, "expression", "expected a string"},
		{`protocols: [grpc], strip_path: true, expression: 'http.path == "/"'`, "strip_path", "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'"},
	} {
		t.Run(tt.route, func(t *testing.T) {
			var want []problem
			if tt.want != "" {
				want = []problem{{Type: "field", Field: tt.field, Message: tt.want}}
				if tt.field == "" {
					want[0].Type = "entity"
				}
			}
			got := problemsOf(t, loader, "routes: [{name: r, "+tt.route+"}]")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Kong's answer (-) and ours (+):\n%s", diff)
			}
		})
	}
}

// TestExpressionsElsewhere has the default router refuse them, as Kong's does.
func TestExpressionsElsewhere(t *testing.T) {
	loader, err := NewLoader([]string{"bundled"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := problemsOf(t, loader, `routes: [{name: r, paths: [/], expression: 'http.path == "/"', priority: 1}]`)
	want := []problem{
		{Type: "field", Field: "priority", Message: "unknown field"}, {Type: "field", Field: "expression", Message: "unknown field"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Kong's answer (-) and ours (+):\n%s", diff)
	}
}

func TestParseFlavor(t *testing.T) {
	for text, want := range map[string]Flavor{
		"": TraditionalCompatible, "traditional_compatible": TraditionalCompatible, "expressions": Expressions,
	} {
		if got, err := ParseFlavor(text); got != want || err != nil {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	want := `router_flavor: "traditional" is neither traditional_compatible nor expressions`
	if _, err := ParseFlavor("traditional"); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
