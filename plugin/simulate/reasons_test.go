package simulate

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kong-traffic-split/plugin/split"
)

// Each reason of a decision has its sentence, its place in the order of precedence, and its
// place in the tables of the documentation.
func TestReasons(t *testing.T) {
	want := slices.Sorted(slices.Values(split.Reasons[:]))
	texts := func(path, within, text string) (all []split.Reason) {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		part := regexp.MustCompile(within).FindSubmatch(page)
		if part == nil {
			t.Fatalf("%s has nothing like %s", path, within)
		}
		for _, match := range regexp.MustCompile(text).FindAllSubmatch(part[len(part)-1], -1) {
			all = append(all, split.Reason(match[1]))
		}
		return all
	}
	for _, tt := range []struct {
		where string
		got   []split.Reason
	}{
		{"sentences", slices.Collect(maps.Keys(sentences))},
		{"precedence", slices.Clone(precedence)},
		{"docs/how-it-chooses.md", texts("../../docs/how-it-chooses.md", "(?s)in the log \\|\n.*?`splitctl explain`", "(?m)(?:\\| |that is )`(\\w+)`(?: \\|$| in the log)")},
		{"docs/operate.md", texts("../../docs/operate.md", "`traffic_split_requests_total`.*by what decided(: .*)", "[:,] `(\\w+)`")},
	} {
		slices.Sort(tt.got)
		if diff := cmp.Diff(want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.where, diff)
		}
	}
}
