package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// validHost checks what patterns cannot say of addresses.
func validHost(host string) string {
	if strings.Contains(host, ":") {
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "must be an IPv6 address, as it has colons in it"
		}
		return ""
	}
	last := host[strings.LastIndex(host, ".")+1:]
	if strings.Trim(last, "0123456789") == "" && last != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return "must be an IPv4 address, as it ends in a number"
		}
	}
	return ""
}

// validHostHeader checks a literal Host header.
func validHostHeader(value string) string {
	host, port, hasPort := strings.Cut(value, ":")
	switch {
	case strings.ContainsAny(value, "[]"):
		var ok bool
		if port, hasPort, ok = bracketed(value); !ok {
			return "must have an IPv6 address in its brackets, and a colon before the port"
		}
	case strings.Contains(port, ":"):
		return "must have an IPv6 address in brackets"
	case host == "":
		return "must have a host before the colon"
	default:
		if wrong := validName(host); wrong != "" {
			return wrong
		}
	}
	if n, err := strconv.Atoi(port); hasPort && (err != nil || n < 1 || n > 65535) {
		return "must have a port in 1..65535 behind the colon"
	}
	return ""
}

// bracketed parses [address]:port or [address].
func bracketed(value string) (port string, hasPort, ok bool) {
	inside, isOpen := strings.CutPrefix(value, "[")
	address, after, isClosed := strings.Cut(inside, "]")
	port, hasPort = strings.CutPrefix(after, ":")
	a, err := netip.ParseAddr(address)
	return port, hasPort, isOpen && isClosed && err == nil && a.Is6() && (hasPort || after == "")
}

// validName checks a host name or an IPv4 address.
func validName(host string) string {
	for _, rule := range nameNot {
		if rule.pattern.MatchString(host) {
			return rule.message
		}
	}
	return validHost(host)
}

// validPath checks that each % begins an encoded byte.
func validPath(path string) string {
	for i := range len(path) {
		if path[i] == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return "must have two hexadecimal digits behind each %"
		}
	}
	return ""
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}

// validPrefix checks that Kong's normalised paths can begin with it.
func validPrefix(prefix string) string {
	normal := NormalPath(prefix)
	if strings.Contains(normal, "/./") || strings.Contains(normal, "/../") {
		return "must not have . or .. between slashes, as Kong resolves them"
	}
	return validPath(prefix)
}

// validSecret refuses a reference to a vault, which Kong would have replaced by a secret.
func validSecret(secret string) string {
	if isReference(secret) {
		return "is a reference to a vault, which Kong resolves in its own configuration only; write the secret itself"
	}
	return ""
}

func isReference(s string) bool {
	return strings.HasPrefix(s, "{vault://") && strings.HasSuffix(s, "}")
}

// validClientIP checks an address or a network.
func validClientIP(s string) string {
	if _, err := parseNetwork(s); err != nil {
		return "must " + beNetwork
	}
	return ""
}

// parseNetwork parses an address or a network. IPv4 in the form of IPv6 becomes IPv4,
// and the bits after the prefix become 0.
func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	p, err := netip.ParsePrefix(s)
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// validTime checks a time.
func validTime(s string) string {
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "must " + beTime
	}
	return ""
}
