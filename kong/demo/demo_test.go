package demo

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

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
	d, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	result, err := d.Play(t.Context(), io.Discard, func(string) {})
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
