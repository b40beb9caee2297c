package check

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
)

// A split's path prefix is brought into the form that Kong's paths have. Neither
// room may import the other, so each has the rule for escapes.
func TestPathsAreNormalisedAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.SampledFrom([]string{"%", "%2", "%2f", "%2F", "%41", "%7e", "%e4", "%25", "%zz", "a", "a/b", "+"}),
			rapid.StringMatching(`%[0-9a-fA-F]{2}`),
		)).Draw(t, "parts")
		path := "/" + strings.Join(parts, "")
		if strings.Contains(config.NormalPath(path), ".") || strings.Contains(path, "//") {
			return // only a path's dots are resolved, and its slashes merged
		}
		if got, want := config.NormalPath(path), declarative.NormalizePath(path); got != want {
			t.Fatalf("%q: %q as a prefix, %q as a path", path, got, want)
		}
	})
}
