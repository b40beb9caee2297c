package config

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A time in whole milliseconds has three decimals at most, as parameters allow.
func TestInSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 366*24*3600*1000).Draw(t, "ms")) * time.Millisecond
		text := Float(InSeconds(d)).Text
		if _, decimals, _ := strings.Cut(text, "."); len(decimals) > 3 {
			t.Fatalf("%v is %s", d, text)
		}
	})
}
