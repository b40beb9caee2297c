package file

import (
	"fmt"
	"slices"
	"testing"
)

// Readers of other kinds take the last of keys that are there twice, and ignore a second
// document.
func TestIndex(t *testing.T) {
	x, problem := NewIndex("a: {b: 1, b: 2}\nc:\n- x: &k {<<: {y: 1}, <<: {y: 2}}\n  x: *k\na: 3\n---\nd: 1\n")
	if problem != nil {
		t.Fatal(problem)
	}
	var got []string
	for _, p := range x.Repeated() {
		got = append(got, fmt.Sprintf("%d:%d: %v", p.Line, p.Column, p))
	}
	want := []string{
		"1:11: a.b: is in line 1 already, and only the last one counts: put both into one",
		"4:3: c[0].x: is in line 3 already, and only the last one counts: put both into one",
		"5:1: a: is in line 1 already, and only the last one counts: put both into one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if line, column, ok := x.Second(); !ok || line != 7 || column != 1 {
		t.Errorf("the second document is at %d:%d, %v", line, column, ok)
	}
	if keys := x.Keys(); !slices.Equal(keys, []string{"a", "c", "a"}) {
		t.Errorf("the keys are %q", keys)
	}
	if n := x.Locate(3.0, "a"); n.Line != 5 || n.Column != 4 {
		t.Errorf("a is at %d:%d", n.Line, n.Column)
	}
	for _, text := range []string{"---\n---\nsplits: {}\n", "# only\n---\nsplits: {}\n"} {
		if x, problem := NewIndex(text); problem != nil || !slices.Equal(x.Keys(), []string{"splits"}) {
			t.Errorf("%q: %v, %v", text, problem, x)
		}
	}
}
