package declarative

import (
	"regexp"
	"strconv"
	"strings"
)

// urlPattern is RFC 3986, appendix B, with user, host and port apart.
var urlPattern = regexp.MustCompile(`^(?:([a-zA-Z0-9][\w+.-]*):)?(?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]*)(?::([^/?#:]*))?)?([^?#;]*)`)

// serviceURL reads a service's url into protocol, host, port and path.
func serviceURL(row map[string]any) Errors {
	url, given := row["url"]
	if !given || url == nil {
		return nil
	}
	text, ok := url.(string)
	if !ok {
		return Errors{"url": "expected a string"}
	}
	delete(row, "url")
	parts := urlPattern.FindStringSubmatch(text)
	protocol, host, port, path := parts[1], strings.Trim(parts[2], "[]"), parts[3], parts[4]
	if protocol == "" {
		protocol = map[string]string{"443": "https"}[port]
	}
	if protocol == "" {
		protocol = "http"
	}
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
	return nil
}

// upstreamAlgorithm lets an upstream's algorithm follow its hash_on, as it was
// before there was an algorithm.
func upstreamAlgorithm(row map[string]any) Errors {
	for _, name := range []string{"algorithm", "hash_on"} {
		if _, isText := row[name].(string); row[name] != nil && !isText {
			return Errors{name: "expected a string"}
		}
	}
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
	return nil
}
