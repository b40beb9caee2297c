package simulate_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/simulate"
	"kong-traffic-split/plugin/split"
)

var update = flag.Bool("update", false, "write the files of testdata anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// rolledBack is a ramp that a guard takes back.
func rolledBack(t *testing.T) *simulate.Result {
	s := ramped()
	s.Backends[0].Name = "<a> & \"co\""
	s.Ramp.Guard = &split.Guard{MaxErrorRatio: 2000, MinRequests: 50, Window: 10 * time.Minute}
	return play(t, s, simulate.Options{Requests: 3000, Fail: map[string]float64{"b": 0.5}})
}

func TestJSON(t *testing.T) {
	var got bytes.Buffer
	text, err := json.Marshal(rolledBack(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Indent(&got, append(text, '\n'), "", " "); err != nil {
		t.Fatal(err)
	}
	golden(t, "ramp.json", got.Bytes())
}

// Of constant weights there is no more to say than this.
func TestJSONOfConstantWeights(t *testing.T) {
	text, err := json.Marshal(play(t, weighted(7, 3, 0), simulate.Options{Requests: 500}))
	want := `{"requests":500,"counts":{"a":350,"b":150,"c":0},"max_deviation":0.5}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}

func TestSVG(t *testing.T) {
	var got bytes.Buffer
	if err := rolledBack(t).WriteSVG(&got, "shop"); err != nil {
		t.Fatal(err)
	}
	golden(t, "ramp.svg", got.Bytes())

	lines := 0
	for d := xml.NewDecoder(bytes.NewReader(got.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal("not well-formed: ", err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 4 {
		t.Errorf("%d lines, want one for each of 3 backends and one for the ramp", lines)
	}
}

func TestText(t *testing.T) {
	var got bytes.Buffer
	s := everything()
	s.Backends[1].Name = strings.Repeat("long", 20)
	for name, r := range map[string]*simulate.Result{"ramp.txt": rolledBack(t), "keyed.txt": play(t, s, simulate.Options{Down: []string{"a"}})} {
		got.Reset()
		if err := r.WriteText(&got, "shop"); err != nil {
			t.Fatal(err)
		}
		golden(t, name, got.Bytes())
		for line := range strings.Lines(got.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > 80 && !strings.Contains(line, "rolled back") {
				t.Errorf("%d columns: %s", n, line)
			}
		}
	}
}

// Bars are drawn of every share, none or all of it too.
func TestTextOfExtremeShares(t *testing.T) {
	for _, s := range []*split.Split{weighted(1), weighted(0), weighted(1, 1_000_000)} {
		var got bytes.Buffer
		if err := play(t, s, simulate.Options{Requests: 3}).WriteText(&got, "x"); err != nil || got.Len() == 0 {
			t.Errorf("got %q, %v", got.String(), err)
		}
	}
}
