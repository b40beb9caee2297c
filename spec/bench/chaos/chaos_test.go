package chaos

import (
	"bytes"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A short run goes through what needs no waiting, and finds nothing wrong.
func TestRun(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("processes are found as Linux tells them: ", err)
	}
	var some []fault
	for _, f := range faults {
		switch f.name {
		case "the serving process is killed", "the parent is killed", "the server is upgraded",
			"other weights in Kong", "other weights in the split file", "all is counted exactly", "strangers connect":
			some = append(some, f)
		}
	}
	if len(some) != 7 {
		t.Fatalf("only %d faults are there still", len(some))
	}
	var log bytes.Buffer
	report, err := playAll(t.Context(), Options{Seed: 1, Workers: 2, Log: &log}, some)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("%v, %q in\n%s", err, report.Problems, &log)
	}
	for row := range backendsOf {
		if report.Requests[row] == 0 {
			t.Errorf("no request of row %q", row)
		}
	}
	for _, f := range some {
		if report.Faults[f.name] != 1 {
			t.Errorf("%s: %d times", f.name, report.Faults[f.name])
		}
	}
	if report.Starts != 2 {
		t.Errorf("the server was started %d times, not twice", report.Starts)
	}
}

// What is wrong is found: a backend that gets what is another one's.
func TestMisplacedRequestIsAProblem(t *testing.T) {
	var found []string
	b, err := startTCP(tcp, "tcp-a", func(what string) { found = append(found, what) })
	if err != nil {
		t.Fatal(err)
	}
	address := b.address()
	name, _, problem := tcpClient(address, "other")(t.Context())
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	if name != "tcp-a" || problem != "" {
		t.Errorf("got %q, %q", name, problem)
	}
	if len(found) != 1 || found[0] != `backend "tcp-a" of "tcp" got a connection that says "other\n"` {
		t.Errorf("found %q", found)
	}
}
