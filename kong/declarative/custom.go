package declarative

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	router "kong-traffic-split/kong/expression"
)

// customChecks are the checks that are functions in Kong, by the names that
// entities.yaml gives them. Only Kong's own entities have such checks: a plugin's dump
// is data.
var customChecks = map[string]validator{
	"utf8_name": matching(`^[\w.~\x{80}-\x{10ffff}-]+$`,
		"invalid value '%s': the only accepted ascii characters are alphanumerics or ., -, _, and ~"),
	"tag": matching(`^[ !-+\-.0-~\x{80}-\x{10ffff}]+$`,
		"invalid tag '%s': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"),
	"header_name": matching(`^[a-zA-Z0-9_-]+$`,
		"bad header name '%s', allowed characters are A-Z, a-z, 0-9, '_', and '-'"),
	"cookie_name": matching("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
		"contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the "+
			`characters ()<>@,;:\"/?={}[] are not allowed.`),
	"path":          ofText(checkPath),
	"router_path":   ofText(checkRouterPath),
	"router_header": ofText(checkRouterHeader),
	"ip_or_cidr":    ofText(checkAddress),

	"host": ofText(hostRule{
		invalid: "invalid value: %s",
		port:    "must not have a port", badPort: "must not have a port",
	}.check),
	"sni": ofText(serverName.check),
	"upstream_name": ofText(hostRule{
		invalid: "Invalid name ('%s'); must be a valid hostname", badPort: "Invalid name ('%s'); must be a valid hostname",
		address: "Invalid name ('%s'); no ip addresses allowed", port: "Invalid name ('%s'); no port allowed",
	}.check),
	"target": ofText(hostRule{
		invalid: "Invalid target ('%s'); not a valid hostname or ip address",
		badPort: "Invalid target ('%s'); not a valid hostname or ip address",
	}.check),
	"host_with_optional_port": ofText(checkHostWithPort),
	"host_with_wildcards":     ofText(func(s string) string { return checkHostWithPort(strings.ReplaceAll(s, "*", "abc")) }),
	"wildcard_host":           ofText(checkWildcardHost),

	"termination":    checkTermination,
	"url":            ofText(checkURL),
	"changed_header": ofText(func(s string) string { return checkChangedHeader(s, false) }),
	"renamed_header": ofText(func(s string) string { return checkChangedHeader(s, true) }),
	"key_with_value": ofText(checkKeyWithValue),
}

// ofText makes a validator of a field whose values are texts.
func ofText(check func(s string) string) validator {
	return func(v any) string {
		s, _ := v.(string)
		return check(s)
	}
}

// matching makes one of texts that match. In the message, %s is the text.
func matching(pattern, message string) validator {
	compiled := regexp.MustCompile(pattern)
	return ofText(func(s string) string {
		return unless(compiled.MatchString(s), strings.ReplaceAll(message, "%s", s))
	})
}

var (
	pathPattern   = regexp.MustCompile(`^/[\w.~/%:@!$&'()*+,;=-]*$`)
	escapePattern = regexp.MustCompile(`%[0-9a-fA-F]{2}`)
)

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
		normal := NormalizePath(s)
		return unless(normal == s, "non-normalized path, consider use '"+normal+"' instead")
	}
	compiled, err := router.Compile(RouteRegexp(expression))
	if err == nil && slices.ContainsFunc(compiled.SubexpNames(), func(name string) bool { return len(name) > maxGroupName }) {
		err = fmt.Errorf("subpattern name is too long (maximum %d code units)", maxGroupName)
	}
	return unless(err == nil, fmt.Sprintf("invalid regex: '%s' (%v)", expression, err))
}

// maxGroupName is how long a group's name may be for PCRE, by which Kong checks paths, too.
const maxGroupName = 32

// checkRouterHeader checks a value of a route's header, which may be a regular expression
// behind ~*. Kong's router puts that into lower case.
func checkRouterHeader(s string) string {
	expression, isRegex := strings.CutPrefix(s, "~*")
	if !isRegex {
		return ""
	}
	_, err := router.Compile(strings.ToLower(expression))
	return unless(err == nil, fmt.Sprintf("Router Expression failed validation: regex parse error: '%s' (%v)", expression, err))
}

func checkAddress(s string) string {
	_, err := netip.ParseAddr(s)
	_, err2 := netip.ParsePrefix(s)
	return unless(err == nil || err2 == nil, "invalid ip or cidr range: '"+s+"'")
}

// hostRule has the messages for a text that is no host, whose port is no port, that
// is an address, and that has a port. Where one is empty, that is right.
type hostRule struct{ invalid, badPort, address, port string }

func (r hostRule) check(s string) string {
	h, err := parseHost(s)
	message := ""
	switch {
	case err == errPort:
		message = r.badPort
	case err != nil:
		message = r.invalid
	case h.kind != "name" && r.address != "":
		message = r.address
	case h.hasPort:
		message = r.port
	}
	return strings.ReplaceAll(message, "%s", s)
}

var serverName = hostRule{
	invalid: "invalid value: %s", address: "must not be an IP",
	port: "must not have a port", badPort: "must not have a port",
}

func checkHostWithPort(s string) string {
	if _, err := parseHost(s); err != nil {
		return err.Error()
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
	return serverName.check(strings.ReplaceAll(s, "*", "wildcard"))
}

// checkTermination checks the config of request-termination.
func checkTermination(v any) string {
	config, _ := v.(map[string]any)
	body := nonempty(config["content_type"]) || nonempty(config["body"])
	switch {
	case nonempty(config["message"]) && body:
		return "message cannot be used with content_type or body"
	case nonempty(config["content_type"]) && !nonempty(config["body"]):
		return "content_type requires a body"
	case config["echo"] == true && body:
		return "echo cannot be used with content_type and body"
	}
	return ""
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

// isAddress reports whether Kong takes what has a kind of address for one: leading zeros
// are right in IPv4, and in IPv6 there is neither a zone nor IPv4.
func isAddress(s string) bool {
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		return err == nil && a.Zone() == "" && !strings.Contains(s, ".")
	}
	parts := strings.Split(s, ".")
	for _, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 8); err != nil || len(part) > 3 {
			return false
		}
	}
	return len(parts) == 4
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
		if !isAddress(h.host) {
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
