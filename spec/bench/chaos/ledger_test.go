package chaos

import (
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	even := sharesOf(map[string]int{"a": 1, "b": 1})
	for name, tt := range map[string]struct {
		fixed   shares
		a, b    int // answers
		disturb bool
		want    string
	}{
		"as due":                   {nil, 50, 50, false, ""},
		"just within the bound":    {nil, 56, 44, false, ""},
		"one more":                 {nil, 57, 43, false, `row "r", phase "p": "a" got 57 requests where 50.0 were due, and the bound is 6`},
		"after a disturbance":      {nil, 58, 42, true, ""},
		"one more after one":       {nil, 59, 41, true, `row "r", phase "p": "a" got 59 requests where 50.0 were due, and the bound is 8`},
		"none is due, and it got":  {shares{"a": 1, "b": 0}, 99, 1, false, `row "r", phase "p": "b" got 1 requests where 0.0 were due, and the bound is 6`},
		"none is due, nor got any": {shares{"a": 1, "b": 0}, 100, 0, false, ""},
		"one that nobody knows of": {shares{"b": 1}, 1, 99, false, `row "r", phase "p": "a" got 1 requests where 0.0 were due, and the bound is 6`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger("r", 1)
			l.declare("1", even)
			var fixed course
			if tt.fixed != nil {
				fixed = always(tt.fixed)
			}
			if err := l.begin("p", fixed); err != nil {
				t.Fatal(err)
			}
			if tt.disturb {
				l.disturb()
			}
			for backend, n := range map[string]int{"a": tt.a, "b": tt.b} {
				for range n {
					l.answered(backend, "1", time.Now())
				}
			}
			l.answered("a", "1", time.Now().Add(-time.Hour)) // of the phase before
			got := ""
			if err := l.suspend(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err := l.suspend(); err != nil {
				t.Errorf("there is a phase still: %v", err)
			}
		})
	}
}

func TestUnknownRevisionIsAFailure(t *testing.T) {
	l := newLedger("r", 1)
	if err := l.begin("p", nil); err != nil {
		t.Fatal(err)
	}
	l.answered("a", "7", time.Now())
	if len(l.failed) != 1 || l.failed[0].what != `a answered by revision "7", which there never was` {
		t.Errorf("got %v", l.failed)
	}
}
