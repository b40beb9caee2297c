package declarative

import (
	"regexp"
	"strings"
)

// Checks of the configs of redirect and of the transformers.

var (
	schemePattern    = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	authorityPattern = regexp.MustCompile(`^//([^/]+)`)
	headerPattern    = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

// checkURL checks as much of a URL as Kong does.
func checkURL(s string) string {
	scheme := schemePattern.FindString(s)
	switch {
	case !authorityPattern.MatchString(s[len(scheme):]):
		return "missing host in url"
	case scheme == "":
		return "missing scheme in url"
	}
	return ""
}

// splitPair takes the value off a name, which may have more than one colon between.
func splitPair(pair string) (name, value string) {
	name, _, _ = strings.Cut(pair, ":")
	return name, strings.TrimLeft(pair[len(name):], ":")
}

// checkChangedHeader checks the name of a header and, where both have to be one, what
// stands behind it.
func checkChangedHeader(pair string, both bool) string {
	name, value := splitPair(pair)
	switch {
	case !headerPattern.MatchString(name):
		return "'" + name + "' is not a valid header"
	case both && !headerPattern.MatchString(value):
		return "'" + value + "' is not a valid header"
	}
	return ""
}

func checkKeyWithValue(pair string) string {
	name, value := splitPair(pair)
	return unless(name != "" && value != "", "key '"+name+"' has no value")
}
