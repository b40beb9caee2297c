package standin

import (
	"strings"
	"testing"
)

func TestLimitsAreThoseOfThePackageComment(t *testing.T) {
	lines := strings.Split(Limits, "\n")
	if lines[0] != "It does not" || len(lines) < 10 {
		t.Errorf("got %q", Limits)
	}
	for i, line := range lines[1:] {
		end := ";"
		if i == len(lines)-2 {
			end = "."
		}
		if !strings.HasPrefix(line, "  - ") || !strings.HasSuffix(line, end) {
			t.Errorf("got the line %q", line)
		}
	}
}
