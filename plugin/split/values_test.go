package split

import (
	"net/url"
	"strings"
	"testing"
)

func TestQueryArg(t *testing.T) {
	for _, test := range []struct {
		query, name, want string
		ok                bool
	}{
		{"", "a", "", false},
		{"", "", "", false},
		{"a=1", "a", "1", true},
		{"a=1&a=2", "a", "1", true},
		{"b=2&a=1", "a", "1", true},
		{"ab=2", "a", "", false},
		{"a", "a", "", true},
		{"flag&a=1", "flag", "", true},
		{"a=", "a", "", true},
		{"a=b=c", "a", "b=c", true},
		{"&&a=1&", "a", "1", true},
		{"&&", "", "", false},
		{"=1", "", "1", true},
		{"A=1", "a", "", false},
		{"a=x%20y+z", "a", "x y z", true},
		{"a=%C3%a4", "a", "ä", true},
		{"%61=1", "a", "1", true},
		{"%61b=1", "a", "", false},
		{"a%62=1", "ab", "1", true},
		{"a+b=1", "a b", "1", true},
		{"a+b=1", "a+b", "", false},
		{"a%2Bb=1", "a+b", "1", true},
		{"a%26=1&b=2", "a&", "1", true},
		{"a%26=1&b=2", "b", "2", true},
		{"a=%", "a", "%", true},
		{"a=%4", "a", "%4", true},
		{"a=%zz%41", "a", "%zzA", true},
		{"a=%%41", "a", "%A", true},
		{"a=%4%31", "a", "%41", true},
		{"%=1", "%", "1", true},
		{"a=%00\xff", "a", "\x00\xff", true},
		{"a=1;b=2", "b", "", false},
	} {
		if got, ok := queryArg(test.query, test.name); got != test.want || ok != test.ok {
			t.Errorf("%q of %q is %q, %t, want %q, %t", test.name, test.query, got, ok, test.want, test.ok)
		}
	}
}

func TestCookie(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, test := range []struct {
		header, name, want string
		ok                 bool
	}{
		{"", "a", "", false},
		{"a=1", "a", "1", true},
		{"b=2; a=1", "a", "1", true},
		{"b=2;a=1", "a", "1", true},
		{"b=2;\t a = 1 ;c=3", "a", "1", true},
		{"a=1; a=2", "a", "1", true},
		{"a", "a", "", false},
		{"a; a=1", "a", "1", true},
		{"a=", "a", "", true},
		{"a=b=c", "a", "b=c", true},
		{`a="b c"`, "a", "b c", true},
		{`a="`, "a", `"`, true},
		{`a=""`, "a", "", true},
		{`a="b;c"`, "a", `"b`, true},
		{"A=1", "a", "", false},
		{"ba=1", "a", "", false},
		{";;=;a=1;", "a", "1", true},
		{"a=\xff\x00", "a", "\xff\x00", true},
		{"a=%41", "a", "%41", true},
		{"b=" + long + "; a=1", "a", "1", true},
		{"a=" + long, "a", long, true},
		{strings.Repeat("b=2; ", 20_000) + "a=1", "a", "1", true},
		{long, "a", "", false},
	} {
		if got, ok := cookie(test.header, test.name); got != test.want || ok != test.ok {
			t.Errorf("%q of %.40q is %.40q, %t, want %.40q, %t", test.name, test.header, got, ok, test.want, test.ok)
		}
	}
}

// Whatever a client sends: what is well-formed is found as others find it.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"", "a=1&b", "%61=%zz+%", "a=\"b\"; c", "&&;;==%%++", "\x00\xff"} {
		f.Add(text, "a", "b c")
	}
	f.Fuzz(func(t *testing.T, text, name, value string) {
		if got, ok := queryArg(text, name); ok && len(got) > len(text) {
			t.Fatalf("%q of the query %q is %q", name, text, got)
		}
		if got, ok := cookie(text, name); ok && !strings.Contains(text, got) {
			t.Fatalf("%q of the cookies %q is %q", name, text, got)
		}
		if got, ok := queryArg("x=1&"+url.QueryEscape(name)+"="+url.QueryEscape(value)+"&"+text, name); !ok || got != value && name != "x" {
			t.Fatalf("%q is %q, %t, want %q", name, got, ok, value)
		}
		if want, err := url.QueryUnescape(text); err == nil && unescape(text) != want {
			t.Fatalf("%q stands for %q, want %q", text, unescape(text), want)
		}
		if unescapesTo(text, value) != (unescape(text) == value) || !unescapesTo(text, unescape(text)) {
			t.Fatalf("%q stands for %q or it does not", text, value)
		}
	})
}

// Kong does not tell an empty header from one that is not there.
func TestEmptyHeaders(t *testing.T) {
	headers := []Header{{Name: "X-A"}, {Name: "X-A", Value: "second"}, {Name: "x-b", Value: "1"}}
	for name, want := range map[string]bool{"x-a": false, "X-B": true, "X-C": false} {
		if v, ok := lookup(headers, name); ok != want {
			t.Errorf("%s: got %q, %t, want %t", name, v, ok, want)
		}
	}
}
