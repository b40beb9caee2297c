package expression

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// request has the values of a request's fields.
type request map[string][]Value

func (r request) values(field string) []Value { return r[field] }

// shop is what most expressions below are evaluated for.
var shop = request{
	"http.path":          {"/shop/Cart"},
	"http.method":        {"GET"},
	"http.headers.x_one": {"a"},
	"http.headers.x_two": {"a", "b"},
	"http.queries.none":  {""},
	"net.dst.port":       {int64(8000)},
	"net.src.ip":         {netip.MustParseAddr("10.1.2.3")},
}

func TestEval(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{`http.path == "/shop/Cart"`, true},
		{`http.path == "/shop/cart"`, false},
		{`lower(http.path) == "/shop/cart"`, true},
		{`http.path != "/shop"`, true},
		{`http.path ^= "/shop"`, true},
		{`http.path =^ "Cart"`, true},
		{`http.path =^ "cart"`, false},
		{`http.path contains "op/C"`, true},
		{`http.path ~ "^/[a-z]+/"`, true},
		{`http.path ~ r#"^/\w+/Cart$"#`, true},
		{`net.dst.port == 8000 && net.dst.port != 80`, true},
		{`net.dst.port > 7999 && net.dst.port >= 8000 && net.dst.port < 8001 && net.dst.port <= 8000`, true},
		{`net.dst.port > 8000 || net.dst.port < 8000`, false},
		{`net.dst.port == 0x1F40`, true},
		{`net.dst.port == 017500`, true},
		{`net.dst.port == 08000`, true},
		{`net.dst.port > -1`, true},
		{`net.src.ip in 10.0.0.0/8 && net.src.ip not in fd00::/8`, true},
		{`net.src.ip == 10.1.2.3`, true},
		{"http.path\t^=\r\n\"/shop\"&&http.method==\"GET\"", true},

		// What is absent fulfils nothing.
		{`http.headers.x_no == "a"`, false},
		{`http.headers.x_no != "a"`, false},
		{`any(http.headers.x_no) != "a"`, false},
		{`!(http.headers.x_no == "a")`, true},
		{`http.queries.none == ""`, true},

		// All values, or any of them.
		{`http.headers.x_two == "a"`, false},
		{`http.headers.x_two ~ "[ab]"`, true},
		{`http.headers.x_two != "a"`, false},
		{`http.headers.x_two != "c"`, true},
		{`any(http.headers.x_two) == "b"`, true},
		{`any(http.headers.x_two) != "a"`, true},
		{`any(lower(http.headers.x_two)) == "B"`, false},
		{`lower(any(http.headers.x_one)) == "a"`, true},

		// || binds tighter than &&.
		{`http.method == "POST" && http.method == "PUT" || http.path ^= "/"`, false},
		{`(http.method == "POST" && http.method == "PUT") || http.path ^= "/"`, true},
		{`!(http.method == "POST" || http.method == "GET")`, false},
	} {
		e, err := Parse(tt.text, false)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if _, got := e.Eval(shop.values); got != tt.want {
			t.Errorf("%s: got %v", tt.text, got)
		}
	}
}

func TestMatched(t *testing.T) {
	for _, tt := range []struct {
		text, path string
		captures   map[string]string
	}{
		{`http.path == "/shop/Cart"`, "/shop/Cart", nil},
		{`http.path ^= "/sh"`, "/sh", nil},
		{`http.path =^ "Cart"`, "Cart", nil},
		{`http.method == "GET"`, "", nil},
		{`http.path ~ "^/[a-z]+"`, "/shop", map[string]string{"0": "/shop"}},
		{`http.path ~ "^/(?<first>[a-z]+)(x)?/(.)"`, "/shop/C", map[string]string{"0": "/shop/C", "1": "shop", "first": "shop", "3": "C"}},
		// The last predicate that holds, even where what it belongs to does not.
		{`(http.path ^= "/shop" && http.method == "PUT") || http.path ^= "/"`, "/", nil},
		{`http.path ^= "/" && !(http.path == "/shop/Cart" && http.method == "PUT")`, "/shop/Cart", nil},
		{`http.path ^= "/s" && any(http.headers.x_two) ~ "(b)"`, "/s", map[string]string{"0": "b", "1": "b"}},
	} {
		e, err := Parse(tt.text, false)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := e.Eval(shop.values)
		if tt.captures == nil {
			tt.captures = map[string]string{}
		}
		if !ok || m.Matched("http.path") != tt.path {
			t.Errorf("%s: %v, matched %q", tt.text, ok, m.Matched("http.path"))
		}
		if diff := cmp.Diff(tt.captures, m.Captures()); diff != "" {
			t.Errorf("%s: %s", tt.text, diff)
		}
	}
}

func TestFields(t *testing.T) {
	e, err := Parse(`net.port == 80 && (any(lower(http.headers.x)) == "a" || http.path ^= "/" || http.path == "/x")`, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"http.headers.x", "http.path", "net.dst.port"}, e.Fields()); diff != "" {
		t.Error(diff)
	}
}

// TestRefused has what flavor_test.go of kong/declarative has not.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     " = expected term",
		"http.path ==":                         " = expected rhs",
		"lower(":                               " = expected lhs",
		`lower(http.path == "x"`:               ` = expected ")"`,
		"http.path ==\n\"a\" &&\nx":            "\n3 | x\n  |  ^---\n  |\n  = expected binary_operator",
		`http.path == r#"a`:                    " = expected rawstr_char",
		`http.path == "a\`:                     " = expected str_char or str_esc",
		`http.path ~ 3`:                        " = regex operator can only be used with String operands",
		`http.path ~ "("`:                      "missing closing )",
		`net.dst.port == 99999999999999999999`: " = number too large to fit in target type",
		`net.src.ip in 10.0.0.0/99`:            "prefix length out of range",
		`net.src.ip == 300.0.0.1`:              "IPv4 field has value >255",
		`net.dst.port ~ "x"`:                   "Regex operators only supports string operands",
		`net.dst.port ^= 1`:                    "Regex/Prefix/Postfix operators only supports string operands",
		`net.dst.port contains 1`:              "Contains operator only supports string operands",
		`http.path > "a"`:                      "Greater/GreaterOrEqual/Lesser/LesserOrEqual operators only supports integer operands",
		strings.Repeat("(", 1000) + `http.path == "a"` + strings.Repeat(")", 1000): " = parentheses are nested deeper than 200",
		strings.Repeat("any(", 1000): " = functions are nested deeper than 200",
	} {
		_, err := Parse(text, false)
		if err == nil || !strings.HasSuffix(strings.TrimSuffix(err.Error(), ": `(`"), want) && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v", text, err)
		}
	}
}

// tree is an expression with what it means for a request whose only facts are the flags
// x0 to x3.
type tree struct {
	text  string
	value bool
}

// trees draws expressions by Kong's grammar.
func trees(flags [4]bool, depth int) *rapid.Generator[tree] {
	return rapid.Custom(func(t *rapid.T) tree {
		term := func() tree {
			if depth == 0 || rapid.Bool().Draw(t, "leaf") {
				i := rapid.IntRange(0, 3).Draw(t, "flag")
				return tree{fmt.Sprintf(`http.headers.x%d == "1"`, i), flags[i]}
			}
			inner := trees(flags, depth-1).Draw(t, "inner")
			if rapid.Bool().Draw(t, "negated") {
				return tree{"!(" + inner.text + ")", !inner.value}
			}
			return tree{"( " + inner.text + " )", inner.value}
		}
		whole := tree{"", true}
		for i := range rapid.IntRange(1, 3).Draw(t, "ands") {
			some := term()
			for range rapid.IntRange(0, 2).Draw(t, "ors") {
				next := term()
				some = tree{some.text + "||" + next.text, some.value || next.value}
			}
			if i > 0 {
				whole.text += " && "
			}
			whole = tree{whole.text + some.text, whole.value && some.value}
		}
		return whole
	})
}

// TestLogic has every expression mean what its grammar says.
func TestLogic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var flags [4]bool
		r := request{}
		for i := range flags {
			if flags[i] = rapid.Bool().Draw(t, "x"); flags[i] {
				r[fmt.Sprintf("http.headers.x%d", i)] = []Value{"1"}
			}
		}
		tree := trees(flags, 3).Draw(t, "expression")
		e, err := Parse(tree.text, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := e.Eval(r.values); got != tree.value {
			t.Errorf("%s: got %v", tree.text, got)
		}
	})
}

// FuzzParse has any text be an expression that can be evaluated, or an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`http.path == "/" && !(any(lower(http.headers.x)) ~ r#"(?P<a>b)"#) || net.dst.port in 10.0.0.0/8`,
		`net.src.ip not in fd00::/8 && net.dst.port >= 0x1f`, "http.path == \"\\n\u00e9\xff", "((((", "!", "http.path\n==", "1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, stream := range []bool{false, true} {
			e, err := Parse(text, stream)
			if err != nil {
				_ = err.Error()
				continue
			}
			e.Eval(shop.values)
			e.Eval(request{}.values)
		}
	})
}

// What can hold does where all is known that makes it so, and an unknown part may be
// anything.
func TestCanHold(t *testing.T) {
	known := request{"http.path": {"/shop"}, "http.headers.x": {"a", "b"}, "http.queries.q": nil}
	for text, want := range map[string]bool{
		`http.path ^= "/shop"`:                            true,
		`http.path ^= "/cart"`:                            false,
		`http.path ^= "/cart" || http.method == "GET"`:    true,
		`http.path ^= "/cart" && http.method == "GET"`:    false,
		`http.path ^= "/shop" && http.method == "GET"`:    true,
		`!(http.path ^= "/shop")`:                         false,
		`!(http.path ^= "/shop" && http.method == "GET")`: true,
		`!(http.path ^= "/shop" || http.method == "GET")`: false,
		`!(http.method == "GET")`:                         true,
		`http.headers.x == "a"`:                           false,
		`any(http.headers.x) == "a"`:                      true,
		`http.queries.q == "1" || http.path == "/"`:       false,
		`http.method == "GET" && !(http.method == "GET")`: true, // each part by itself
	} {
		e, err := Parse(text, false)
		if err != nil {
			t.Fatal(err)
		}
		got := e.CanHold(func(field string) ([]Value, bool) {
			values, ok := known[field]
			return values, ok
		})
		if got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
