package demo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// guide is what the demo sees, each time.
var guide = []*Step{
	{Weights: map[string]int{"echo": 1, "echo2": 1}, Requests: 200, Counts: map[string]int{"echo": 100, "echo2": 100}},
	{Weights: map[string]int{"echo": 200, "echo2": 100}, Requests: 200, Counts: map[string]int{"echo": 133, "echo2": 67}},
}

// TestReadmeShowsTheGuide: the README's picture of the demo is what the demo writes.
func TestReadmeShowsTheGuide(t *testing.T) {
	var b strings.Builder
	for i, s := range guide {
		if err := writeStep(&b, describe(i, s.Weights), s); err != nil {
			t.Fatal(err)
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if picture := strings.TrimSpace(b.String()); !strings.Contains(string(readme), picture) {
		t.Errorf("README.md does not show what the demo writes:\n%s", picture)
	}
}

func TestGuide(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d, err := Start(t.Context(), Guide, func(string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	result, err := d.PlayGuide(t.Context(), io.Discard)
	if closed := d.Close(); closed != nil {
		t.Error(closed)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(guide, result.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestRollout: the canary gets its shares, fails, and gets nothing more, and the text says so.
func TestRollout(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d, err := Start(t.Context(), Rollout, func(string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	failure, err := d.PlayRollout(t.Context(), &text, time.Second)
	if err := d.Invite(&text, "go run ./cmd/splitctl"); err != nil {
		t.Error(err)
	}
	if closed := d.Close(); closed != nil {
		t.Error(closed)
	}
	if err != nil {
		t.Fatal(err)
	}
	shares, failed := []float64{}, 0
	for _, s := range failure.Stages {
		shares = append(shares, s.Share)
		failed += s.Failed
	}
	last := failure.Stages[len(shares)-1]
	// On a slow machine, a step may not be seen, or one more begin before enough have failed.
	if grows := shares[:len(shares)-1]; shares[0] != 0.05 || len(grows) < 2 || !slices.IsSorted(grows) || grows[len(grows)-1] < 0.3 || last.Share != 0 {
		t.Errorf("shares %v, want 0.05, 0.15, 0.3, and 0 at the end", shares)
	}
	if last.Requests == 0 || last.Canary > 0 || last.Failed > 0 || failed == 0 {
		t.Errorf("%+v, %d failed in all; want none at the end, and some before", last, failed)
	}
	for _, want := range []string{
		"  0 s  canary   5 %  ██\n                     got ",
		" s  the canary begins to fail: every other answer of it is an error\n",
		" s  canary   0 %  rolled back: " + failure.Why + "\n                     got 0 of ",
		"It went back by itself, ",
		"go run ./cmd/splitctl top 127.0.0.1:",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, text.String())
		}
	}
	for line := range strings.Lines(text.String()) {
		if n := utf8.RuneCountInString(line) - 1; n > 80 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

// A rollout that a signal ends leaves nothing behind.
func TestInterruptedRollout(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, interrupt := context.WithCancel(t.Context())
	d, err := Start(ctx, Rollout, func(_, detail string) {
		if detail != "" {
			interrupt() // while the first step is under way
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.PlayRollout(ctx, io.Discard, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestFailureForMachines(t *testing.T) {
	var b strings.Builder
	f := Failure{Stages: []Stage{{Share: 0.05, Requests: 100, Canary: 5, Failed: 1}}, Why: "1 of 5 requests failed", After: 0.5}
	err := f.WriteJSON(&b)
	want := `{"stages":[{"share":0.05,"requests":100,"canary":5,"failed":1}],"why":"1 of 5 requests failed","after":0.5}` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestStepForPeople(t *testing.T) {
	var b strings.Builder
	err := writeStep(&b, "Weights", &Step{Requests: 8, Counts: map[string]int{"echo2": 1, "echo": 5}, Failed: 2})
	want := `Weights:
      5 echo     ██████████████████████████████
      1 echo2    ██████
      2 failed

`
	if diff := cmp.Diff(want, b.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestStepForMachines(t *testing.T) {
	var b strings.Builder
	r := &Result{Added: 0.25, Steps: []*Step{{
		Weights: map[string]int{"echo": 1}, Requests: 1, Counts: map[string]int{"echo": 1},
	}}}
	err := r.WriteJSON(&b)
	want := `{"steps":[{"weights":{"echo":1},"requests":1,"counts":{"echo":1},"failed":0}],"added_ms":0.25}` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestFailedRequestsAreAnError(t *testing.T) {
	answers := make(chan int, 4)
	for _, code := range []int{200, 503, 200, 500} {
		answers <- code
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(<-answers)
		_, _ = io.WriteString(w, "echo")
	}))
	defer backend.Close()
	r := &Result{}
	for range 2 {
		step := &Step{Requests: 2, Counts: map[string]int{}}
		if err := play(t.Context(), newClient(), backend.URL, step, func(int) {}); err != nil {
			t.Fatal(err)
		}
		r.Steps = append(r.Steps, step)
	}
	want := "2 requests failed, the first with: GET " + backend.URL + "/echo/hostname?iteration=2: 503 Service Unavailable: echo"
	if err := r.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
