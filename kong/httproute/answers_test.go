package httproute_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kong-traffic-split/kong/httproute"
)

// form is one of those that routes are converted to.
type form struct {
	to     httproute.Target
	flavor string
}

var forms = []form{
	{httproute.Kong, httproute.Traditional},
	{httproute.Kong, httproute.Expressions},
	{httproute.Splits, httproute.Traditional},
	{httproute.Splits, httproute.Expressions},
	{httproute.Native, httproute.Traditional},
	{httproute.Native, httproute.Expressions},
}

// refusals are what may be said of a world that is right, by form: another flavor can do
// it, or the plugin. What is in no form is in the third list.
var (
	ofTraditional = regexp.MustCompile(`use the flavor expressions$`)
	ofNative      = regexp.MustCompile(`convert it --to kong$`)
	ofAll         = regexp.MustCompile(`no such refusal`)
	// leadsNowhere is what --allow-partial lets a share of the requests fail for.
	leadsNowhere = regexp.MustCompile(`there is no Service|no ReferenceGrant in the namespace|no listener of the Gateway`)
)

// TestFormsAnswerAlike: whatever routes are converted to, requests end as the Gateway API
// says, or a field is named that stands in the way.
func TestFormsAnswerAlike(t *testing.T) {
	s := newStage(t)
	forms := forms
	if kongPath != "" {
		forms = slices.DeleteFunc(slices.Clone(forms), func(f form) bool { return f.to == httproute.Splits })
	}
	converted := map[form]int{}
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(forms).Draw(t, "form")
		rich := rapid.SampledFrom([]bool{false, false, true}).Draw(t, "rich")
		w := anyWorld(t, taste{
			letters: rich || f.flavor == httproute.Expressions, filters: rich || f.to != httproute.Native,
			many: f.flavor == httproute.Expressions || rapid.Bool().Draw(t, "many"),
		})
		manifests := w.manifests()
		options := httproute.Options{To: f.to, Flavor: f.flavor, Addresses: s.addresses, SessionSecret: strings.Repeat("secret", 4)}
		if f.to != httproute.Native {
			options.Partial = true
		}
		out, problems := httproute.Convert([]httproute.Source{{Name: "x.yaml", Data: []byte(manifests)}}, options)
		other := false
		for _, p := range problems {
			switch {
			case strings.Contains(p.Message, "Kong limits connecting"), p.Message == httproute.NoWeight, leadsNowhere.MatchString(p.Message):
			case p.Path == "" || p.Line < 1 || p.Document < 1:
				t.Fatalf("a problem without a place: %v", p)
			case f.flavor == httproute.Traditional && ofTraditional.MatchString(p.Message),
				f.to == httproute.Native && ofNative.MatchString(p.Message), ofAll.MatchString(p.Message):
				other = true
			default:
				t.Fatalf("%v: %v\n%s", f, p, manifests)
			}
		}
		if out == nil || other {
			return
		}
		converted[f]++
		if err := s.load(f, out); err != nil {
			t.Fatalf("%v: %v\n%s\n%s", f, err, manifests, out.Kong)
		}
		for range 8 {
			c := anyCall(t)
			want := w.answers(c, echoed)
			if got := s.ask(c, want); got != "" {
				t.Fatalf("%v: %+v\n%s\n%s\n%s\n%s", f, c, got, manifests, companionRow.ReplaceAll(out.Kong, nil), out.Splits)
			}
		}
	})
	if s.pinned == 0 {
		t.Error("there were no sessions")
	}
	times := map[any]int{}
	for _, f := range forms {
		t.Logf("%v: %d", f, converted[f])
		times[f.to] += converted[f]
		times[f.flavor] += converted[f]
	}
	for what, n := range times {
		if n == 0 {
			t.Errorf("nothing was ever converted to %v", what)
		}
	}
}

// companionRow is long.
var companionRow = regexp.MustCompile(`(?m)^.*traffic-split companion.*$`)

func anyCall(t *rapid.T) call {
	c := call{
		method:  rapid.SampledFrom([]string{"GET", "GET", "POST"}).Draw(t, "method"),
		host:    rapid.SampledFrom([]string{"x.a.test", "x.a.test", "y.a.test", "z.a.test:8000", "b.test", "b.x.a.test", "else"}).Draw(t, "host"),
		path:    rapid.SampledFrom([]string{"/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/ab", "/a.b", "/a.b/c", "/axb", "/b", "/b/c", "/A/x", "/a/a/b"}).Draw(t, "path"),
		query:   rapid.SampledFrom([]string{"", "", "p=1", "p=2&q=1", "q=12", "p=3"}).Draw(t, "query"),
		headers: map[string]string{},
	}
	for _, name := range []string{"x-p", "x-q", "x-a", "x-b", "x-c"} {
		if value := rapid.SampledFrom([]string{"", "", "1", "2", "gold", "Gold"}).Draw(t, name); value != "" {
			c.headers[name] = value
		}
	}
	return c
}

// ask sends a call as often as the weights say, and returns what is not as it should be.
func (s *stage) ask(c call, want []share) string {
	sum := 0
	for _, one := range want {
		sum += one.weight
	}
	got := map[seen]int{}
	var wrong []string
	for range sum {
		one, cookies, err := s.send(c)
		if err != nil {
			return err.Error()
		}
		got[one]++
		if len(cookies) == 0 {
			continue
		}
		s.pinned++
		switch again, _, err := s.send(c, cookies...); {
		case err != nil:
			return err.Error()
		case again != one:
			wrong = append(wrong, fmt.Sprintf("in the session of %+v came %+v", one, again))
		}
	}
	for _, one := range want {
		if got[one.seen] != one.weight {
			wrong = append(wrong, fmt.Sprintf("want %d of %+v", one.weight, one.seen))
		}
	}
	if wrong == nil {
		return ""
	}
	for one, count := range got {
		wrong = append(wrong, fmt.Sprintf("got  %d of %+v", count, one))
	}
	slices.Sort(wrong)
	slices.Reverse(wrong)
	return strings.Join(wrong, "\n")
}
