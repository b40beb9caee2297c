package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// The servers are this executable, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveFlag {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// All servers answer all cases with the same calls, and each case has its
// figures under the names that machines know them by.
func TestJSONOfAllCases(t *testing.T) {
	var out strings.Builder
	if err := command(t.Context(), []string{"--round", "1ms", "--rounds", "2", "--output", "json"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var got struct{ Cases []map[string]float64 }
	d := json.NewDecoder(strings.NewReader(out.String()))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	var names []string
	for _, c := range got.Cases {
		k := kase{Calls: int(c["calls"]), Reads: int(c["reads"]), Conns: int(c["conns"])}
		names = append(names, k.String())
		fields := slices.Sorted(maps.Keys(c))
		want := []string{"calls", "conns", "ours_per_s", "raw_per_s", "reads", "stock_per_s", "vs_raw", "vs_stock"}
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Errorf("%v (-want +got)\n%s", k, diff)
		}
		for _, rate := range []string{"ours_per_s", "stock_per_s", "raw_per_s"} {
			if c[rate] < 1 {
				t.Errorf("%v: %s %v", k, rate, c[rate])
			}
		}
	}
	var want []string
	for _, k := range allCases() {
		want = append(want, k.String())
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	err := writeTable(&out, []result{
		newResult(kase{Calls: 2, Conns: 8}, 50000.4, 20000, 52000),
		newResult(kase{Calls: 10, Reads: 3, Conns: 32}, 9000, 3000, 10000),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `   calls   reads   conns   ours/s   stock/s   raw/s   vs stock   vs raw
       2       0       8    50000     20000   52000       2.50     0.96
      10       3      32     9000      3000   10000       3.00     0.90
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		of   []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{100, 1, 5, 3}, 4},
	} {
		if got := median(slices.Clone(tt.of)); got != tt.want {
			t.Errorf("of %v: %v, want %v", tt.of, got, tt.want)
		}
	}
}

func TestCasesAreChosenByName(t *testing.T) {
	got := casesMatching(regexp.MustCompile(`^calls=(1|10),.*conns=(8|32)`))
	want := []kase{{Calls: 1, Conns: 8}, {Calls: 1, Conns: 32}, {Calls: 10, Conns: 8}, {Calls: 10, Conns: 32}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWrongArguments(t *testing.T) {
	for _, tt := range []struct {
		args, want string
	}{
		{"now", `argument "now": there are only flags`},
		{"--round 0s", "--round 0s is not more than 0"},
		{"--rounds 0", "--rounds 0 is less than 1"},
		{"--output xml", `--output "xml" is neither table nor json`},
		{"--cases (", "--cases: error parsing regexp: missing closing ): `(`"},
		{"--kong kong --soak", "--kong does not go with --soak"},
		{"--kong kong --cases calls=3", `--cases "calls=3" matches none of the contestants: plain, native, lua, stock0, stock1, stock2, ours0, ours1, ours2, everything, mirror, hanging`},
		{"--cases calls=3", `--cases "calls=3" matches none of the cases, which are named like calls=0,reads=0,conns=1`},
	} {
		err := command(t.Context(), strings.Fields(tt.args), io.Discard, io.Discard)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.args, err, tt.want)
		}
	}
}

// goleak reports whether it has left a server behind.
func TestInterruptedRunSaysSo(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	signal := errors.New("a signal")
	stderr := writer(func() { interrupt(signal) }) // to which the first word is written before the start
	if err := command(ctx, nil, io.Discard, stderr); err != signal {
		t.Errorf("got %v", err)
	}
}

type writer func()

func (w writer) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}
