package split_test

import (
	"testing"

	"kong-traffic-split/plugin/split"

	"pgregory.net/rapid"
)

// preflight is what a browser asks before it sends a request to another origin.
func preflight() split.Facts {
	return split.Facts{Method: "OPTIONS", Headers: []split.Header{
		{Name: "origin", Value: "https://app.example"},
		{Name: "access-control-request-method", Value: "PUT"},
	}}
}

// New clients share exactly, whatever else comes that pins nobody: preflights, and
// requests that are redistributed for a backend that was asked for by name. All that
// comes by weight and pins nobody shares exactly too, and gets no cookie.
func TestNewClientsShareAmongThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := weights(t, 8)
		gone := len(weights) // of weight 0
		s := smooth(append(weights, 0)...)
		s.Session = sessions().Session
		s.OnUnavailable = split.Redistribute
		s.ForceHeader = "X-Backend"
		s.Rules = []split.Rule{
			{Match: split.Match{Methods: []string{"DELETE"}}, Backend: gone},
			{Match: split.Match{PathPrefix: "/even"}, Weights: append(weightsOfOne(len(weights)), 0)},
		}
		st := split.NewState(s)
		type tally struct {
			weights []int
			counts  []int
			k       int
		}
		even := weightsOfOne(len(weights))
		byRequests := map[string]*tally{
			"new": {weights: weights}, "others": {weights: weights}, "new, by the rule": {weights: even}, "others, by the rule": {weights: even},
		}
		for range 300 {
			f, who := split.Facts{}, "new"
			switch rapid.IntRange(0, 4).Draw(t, "request") {
			case 1, 2:
				f, who = preflight(), "others"
			case 3:
				f.Method, who = "DELETE", "others"
			case 4:
				f.Headers, who = []split.Header{{Name: "X-Backend", Value: s.Backends[gone].Name}}, "others"
			}
			if who == "new" || f.Method == "OPTIONS" {
				if rapid.Bool().Draw(t, "by the rule") {
					f.Path = "/even"
					who += ", by the rule"
				}
			}
			f.Down = set(gone)
			d, err := split.Decide(s, st, &f)
			if err != nil {
				t.Fatal(err)
			}
			a := byRequests[who]
			if a.counts == nil {
				a.counts = make([]int, len(weights))
			}
			a.counts[d.Backend]++
			a.k++
			checkBound(t, a.weights, a.counts, a.k)
			if f.Method != "" || f.Headers != nil {
				if d.SetCookie != "" {
					t.Fatalf("%+v sets %q", f, d.SetCookie)
				}
			} else if d.SetCookie == "" {
				t.Fatalf("%+v sets no cookie", f)
			}
		}
	})
}

func weightsOfOne(n int) []int {
	w := make([]int, n)
	for i := range w {
		w[i] = 1
	}
	return w
}

// A preflight is what has all three of its marks; a session that it should have all
// the same counts.
func TestPreflight(t *testing.T) {
	cookie := pinTo(t, sessions(), "2", noon)
	for _, test := range []struct {
		name   string
		change func(f *split.Facts)
		pinned bool // the answer has a cookie
	}{
		{"a preflight", func(*split.Facts) {}, false},
		{"another method", func(f *split.Facts) { f.Method = "GET" }, true},
		{"no origin", func(f *split.Facts) { f.Headers = f.Headers[1:] }, true},
		{"no method asked for", func(f *split.Facts) { f.Headers = f.Headers[:1] }, true},
	} {
		s := sessions()
		f := preflight()
		f.Now = noon
		test.change(&f)
		d, err := split.Decide(s, split.NewState(s), &f)
		if err != nil || (d.SetCookie != "") != test.pinned {
			t.Errorf("%s: %+v, %v", test.name, d, err)
		}
		f.Cookies = cookie
		if d, err = split.Decide(s, split.NewState(s), &f); err != nil || d.Backend != 2 || d.Reason != split.BySession {
			t.Errorf("%s with a session: %+v, %v", test.name, d, err)
		}
	}
	s := sessions()
	s.Session = nil
	st := split.NewState(s)
	for k := range 4 { // nobody is pinned, so all share one rotation
		f := preflight()
		if k%2 == 1 {
			f = split.Facts{}
		}
		if d, err := split.Decide(s, st, &f); err != nil || d.Backend != k%2 {
			t.Errorf("without sessions, request %d: %+v, %v", k+1, d, err)
		}
	}
}
