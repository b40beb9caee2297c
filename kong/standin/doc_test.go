package standin

import (
	"os"
	"strings"
	"testing"
)

func TestPackageCommentListsTheLimits(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(Limits) {
		if item, ok := strings.CutPrefix(line, "  - "); ok && !strings.Contains(string(text), "//   - "+item) {
			t.Errorf("the comment does not say %q", item)
		}
	}
}
