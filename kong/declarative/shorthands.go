package declarative

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// urlPattern is RFC 3986, appendix B, with user, host and port apart.
var urlPattern = regexp.MustCompile(`^(?:([a-zA-Z0-9][\w+.-]*):)?(?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]*)(?::([^/?#:]*))?)?([^?#;]*)`)

// serviceURL reads a service's url into protocol, host, port and path.
func serviceURL(row map[string]any) {
	text, ok := row["url"].(string)
	if !ok {
		return
	}
	delete(row, "url")
	parts := urlPattern.FindStringSubmatch(text)
	host, port, path := strings.Trim(parts[2], "[]"), parts[3], parts[4]
	protocol := cmp.Or(parts[1], map[string]string{"443": "https"}[port], "http")
	row["protocol"], row["host"], row["path"] = protocol, nil, nil
	if host != "" {
		row["host"] = host
	}
	if path != "" {
		row["path"] = path
	}
	n, err := strconv.Atoi(port)
	switch {
	case err == nil:
		row["port"] = float64(n)
	case port != "":
		row["port"] = port // an error that check finds
	case protocol == "https":
		row["port"] = 443.0
	default:
		row["port"] = 80.0
	}
}

// withoutURL refuses a url that serviceURL could not read.
func withoutURL(row map[string]any) (*record, Errors) {
	if row["url"] != nil {
		return nil, Errors{"url": "expected a string"}
	}
	return nil, nil
}

// upstreamAlgorithm lets an upstream's algorithm follow its hash_on, as it was
// before there was an algorithm.
func upstreamAlgorithm(row map[string]any) {
	if a := row["algorithm"]; a == "least-connections" || a == "latency" {
		row["hash_on"] = nil
	}
	hashOn, given := row["hash_on"]
	switch {
	case !given:
	case hashOn == nil:
		row["hash_on"] = "none"
	case hashOn == "none":
		row["algorithm"] = "round-robin"
	default:
		row["algorithm"] = "consistent-hashing"
	}
}
