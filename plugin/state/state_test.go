package state

import (
	"slices"
	"testing"
)

func TestMemory(t *testing.T) {
	var m Memory
	if m.Get("a") != nil || m.Keys("") != nil {
		t.Error("it is not empty")
	}
	m.Set("none", nil)
	m.Set("b/2", []byte("two"))
	m.Set("b/1", []byte{})
	m.Set("c", []byte("three"))
	m.Set("b/2", []byte("second"))
	if got := string(m.Get("b/2")); got != "second" {
		t.Errorf("got %q", got)
	}
	if m.Get("b/1") == nil {
		t.Error("an empty value is none")
	}
	if got := m.Keys("b/"); !slices.Equal(got, []string{"b/1", "b/2"}) {
		t.Errorf("got %q", got)
	}
	m.Set("b/1", nil)
	if got := m.Keys(""); !slices.Equal(got, []string{"b/2", "c"}) {
		t.Errorf("got %q", got)
	}
}
