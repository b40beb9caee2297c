package declarative

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// textChecks are the checks that are functions in Kong, by the names that
// entities.yaml gives them.
var textChecks = map[string]textCheck{
	"utf8_name":               checkName,
	"tag":                     checkTag,
	"path":                    checkPath,
	"router_path":             checkRouterPath,
	"header_name":             checkHeaderName,
	"cookie_name":             checkCookieName,
	"host":                    checkHost,
	"host_with_optional_port": checkHostWithPort,
	"host_with_wildcards":     func(s string) string { return checkHostWithPort(strings.ReplaceAll(s, "*", "abc")) },
	"wildcard_host":           checkWildcardHost,
	"sni":                     checkServerName,
	"ip_or_cidr":              checkAddress,
	"upstream_name":           checkUpstreamName,
	"target":                  checkTarget,
}

var (
	namePattern   = regexp.MustCompile(`^[\w.~\x{80}-\x{10ffff}-]+$`)
	tagPattern    = regexp.MustCompile(`^[ !-+\-.0-~\x{80}-\x{10ffff}]+$`)
	pathPattern   = regexp.MustCompile(`^/[\w.~/%:@!$&'()*+,;=-]*$`)
	headerPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	tokenPattern  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	escapePattern = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
)

func checkUTF8(s string) string {
	if utf8.ValidString(s) {
		return ""
	}
	position := 0
	for r, n := utf8.DecodeRuneInString(s); r != utf8.RuneError || n != 1; r, n = utf8.DecodeRuneInString(s[position:]) {
		position += n
	}
	return fmt.Sprintf("invalid utf-8 character sequence detected at position %d", position+1)
}

func checkName(s string) string {
	switch {
	case checkUTF8(s) != "":
		return checkUTF8(s)
	case !namePattern.MatchString(s):
		return "invalid value '" + s + "': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
	}
	return ""
}

func checkTag(s string) string {
	switch {
	case checkUTF8(s) != "":
		return checkUTF8(s)
	case !tagPattern.MatchString(s):
		return "invalid tag '" + s + "': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
	}
	return ""
}

func checkPath(s string) string {
	if !pathPattern.MatchString(s) {
		return "invalid path: '" + s + "' (characters outside of the reserved list of RFC 3986 found)"
	}
	return checkEscapes(s)
}

// checkEscapes finds a % that does not begin an escaped byte.
func checkEscapes(s string) string {
	rest := escapePattern.ReplaceAllString(s, "___")
	if i := strings.IndexByte(rest, '%'); i >= 0 {
		return "invalid url-encoded value: '" + rest[i:min(i+3, len(rest))] + "'"
	}
	return ""
}

func checkRouterPath(s string) string {
	if pathPattern.MatchString(s) && checkEscapes(s) != "" {
		return checkEscapes(s)
	}
	expression, isRegex := strings.CutPrefix(s, "~")
	if !isRegex {
		if normal := NormalizePath(s); normal != s {
			return "non-normalized path, consider use '" + normal + "' instead"
		}
		return ""
	}
	if _, err := regexp.Compile(RouteRegexp(expression)); err != nil {
		return fmt.Sprintf("invalid regex: '%s' (%v)", expression, err)
	}
	return ""
}

func checkHeaderName(s string) string {
	if headerPattern.MatchString(s) {
		return ""
	}
	return "bad header name '" + s + "', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
}

func checkCookieName(s string) string {
	if tokenPattern.MatchString(s) {
		return ""
	}
	return "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the " +
		`characters ()<>@,;:\"/?={}[] are not allowed.`
}

func checkHost(s string) string {
	h, err := parseHost(s)
	switch {
	case err == errPort || h.hasPort:
		return "must not have a port"
	case err != nil:
		return "invalid value: " + s
	}
	return ""
}

func checkHostWithPort(s string) string {
	if _, err := parseHost(s); err != nil {
		return err.Error()
	}
	return ""
}

func checkServerName(s string) string {
	h, err := parseHost(s)
	switch {
	case err != nil && err != errPort:
		return "invalid value: " + s
	case h.kind != "name":
		return "must not be an IP"
	case err == errPort || h.hasPort:
		return "must not have a port"
	}
	return ""
}

func checkWildcardHost(s string) string {
	switch i := strings.IndexByte(s, '*'); {
	case i < 0:
	case i != 0 && i != len(s)-1:
		return "wildcard must be leftmost or rightmost character"
	case strings.Count(s, "*") > 1:
		return "only one wildcard must be specified"
	}
	return checkServerName(strings.ReplaceAll(s, "*", "wildcard"))
}

func checkAddress(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return ""
	}
	return "invalid ip or cidr range: '" + s + "'"
}

func checkUpstreamName(s string) string {
	invalid := "Invalid name"
	if utf8.ValidString(s) {
		invalid = "Invalid name ('" + s + "')"
	}
	h, err := parseHost(s)
	switch {
	case err != nil:
		return invalid + "; must be a valid hostname"
	case h.kind != "name":
		return invalid + "; no ip addresses allowed"
	case h.hasPort:
		return invalid + "; no port allowed"
	}
	return ""
}

func checkTarget(s string) string {
	if _, err := parseHost(s); err == nil {
		return ""
	}
	if !utf8.ValidString(s) {
		return "Invalid target; not a valid hostname or ip address"
	}
	return "Invalid target ('" + s + "'); not a valid hostname or ip address"
}

// host is a host name or an address, perhaps with a port.
type host struct {
	kind    string // "name", "ipv4" or "ipv6"
	host    string // without brackets
	port    int
	hasPort bool
}

var (
	errPort         = fmt.Errorf("invalid port number")
	labelsPattern   = regexp.MustCompile(`^[0-9a-zA-Z._-]+$`)
	portedPattern   = regexp.MustCompile(`^(.*):([0-9]+)$`)
	bracketsPattern = regexp.MustCompile(`^\[(.*)\](?::([0-9]*))?$`)
)

// HostKind returns what Kong takes a host for: "ipv4" where it has only digits and
// dots, "ipv6" where it has several colons, else "name".
func HostKind(s string) string {
	switch rest := strings.ReplaceAll(s, ":", ""); {
	case len(s)-len(rest) > 1:
		return "ipv6"
	case rest != "" && strings.Trim(rest, "0123456789.") == "":
		return "ipv4"
	}
	return "name"
}

// parseHost reads a host as Kong does. The error of a port that is too high is
// errPort.
func parseHost(s string) (host, error) {
	h := host{kind: HostKind(s), host: s}
	port := ""
	if h.kind == "ipv6" {
		if m := bracketsPattern.FindStringSubmatch(s); m != nil {
			h.host, port = m[1], m[2]
		}
	} else if m := portedPattern.FindStringSubmatch(s); m != nil {
		h.host, port = m[1], m[2]
	}
	if port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n > 65535 {
			return h, errPort
		}
		h.port, h.hasPort = n, true
	}
	if h.kind != "name" {
		if _, err := netip.ParseAddr(h.host); err != nil {
			return h, fmt.Errorf("invalid %s address: %s", h.kind, s)
		}
		return h, nil
	}
	if !labelsPattern.MatchString(h.host) {
		return h, fmt.Errorf("invalid hostname: %s", s)
	}
	labels := strings.Split(h.host, ".")
	for i, label := range labels {
		if strings.HasSuffix(label, "-") || label == "" && i != len(labels)-1 {
			return h, fmt.Errorf("invalid hostname: %s", s)
		}
	}
	return h, nil
}
