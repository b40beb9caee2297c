package config

import (
	"regexp"
	"unicode"
)

// How long strings may be, in bytes. A session's cookie, which holds the name of a
// backend, has a path and a domain, stays below the 4096 bytes that browsers keep.
const (
	maxName      = 255  // of backends, Upstreams, headers, cookies and the like
	maxBackend   = 260  // where a backend is named: the name that host and port make is longer
	maxSplit     = 512  // of a split, as of the routes of Kong's ingress controller
	maxPath      = 1024 // attributes of cookies that are longer are dropped by browsers
	maxHeader    = 4096
	maxAuthority = 262 // a host in brackets, and a port
)

// The rules of strings.
var (
	backendName = []rule{
		must(`^[A-Za-z0-9._:\[\]-]+$`, "consist of letters, digits and . _ - : [ ]"),
	}
	splitName = []rule{ // what Kong does not take in a route's name
		must("["+control+" !\"#$%&'()*+,/:;<=>?@\\[\\\\\\]\\^`{|}]", "consist of letters, digits and . _ - ~, as a route's name does"),
	}
	headerName = []rule{ // token, RFC 9110, section 5.6.2
		must("^[A-Za-z0-9!#$%&'*+.\\^_`|~-]+$", "be the name of a header: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"),
	}
	// framing are the headers by which HTTP tells where a message ends, and what becomes of the
	// connection then. Kong makes them; of others that it is given, the rest of a body becomes
	// the next request, or the next answer.
	framing = []rule{
		mustNot("Content-Length", beFraming), mustNot("Transfer-Encoding", beFraming), mustNot("Connection", beFraming),
	}
	upstreamNot = []rule{
		must(`^[0-9.]+$`, "be the name of a Kong Upstream, not an address; use host for that"),
		must(`[:/]`, "be the name of a Kong Upstream, without scheme, port or path; a host goes into host and port"),
	}
	upstreamName = []rule{
		must(`^[A-Za-z0-9._-]+$`, "be the name of a Kong Upstream: letters, digits and . _ -"),
	}
	notURL  = must(`://`, "not be a URL; its parts go into protocol, host, port and path")
	hostNot = []rule{
		notURL,
		must(`/`, "not have a path in it; that goes into path"),
		must(`[\[\]]`, "be without brackets; the port goes into port"),
		must(`^[^:]*:[^:]*$`, "not have a port in it; that goes into port"),
		must(`:[^.]*:[^.]*\.`, "not have an IPv4 address within an IPv6 one, which Kong does not take; write the IPv4 address alone"),
		nameNot[0], nameNot[1], nameNot[2], nameNot[3],
	}
	hostName      = []rule{beHost(`^[A-Za-z0-9._:-]+$`)}
	nameNot       = []rule{beHost(`^[.-]`), beHost(`-$`), beHost(`-\.`), beHost(`\.[.-]`)}
	hostHeaderNot = []rule{
		must(`://`, "not be a URL, but preserve or a host, with a port or without"),
		must(`/`, "not have a path in it; that goes into path"),
	}
	hostHeader = []rule{
		must(`^[A-Za-z0-9._:\[\]-]+$`, "be preserve or a host, with a port or without"),
	}
	pathNot = []rule{
		must(`\?`, "not have a query in it"),
		must(`#`, "not have a fragment in it"),
	}
	uriPath = []rule{ // pchar, RFC 3986, section 3.3
		must(`^/`, "start with /"),
		must(`^[A-Za-z0-9._~%!$&'()*+,;=:@/-]+$`, "have other characters than letters, digits and - . _ ~ ! $ & ' ( ) * + , ; = : @ / as %XX"),
	}
	probePathNot = []rule{must(`^[^/]`, "start with /"), pathNot[1]}
	probePath    = []rule{
		must(`^[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*$`, "have other characters than letters, digits and - . _ ~ ! $ & ' ( ) * + , ; = : @ / ? as %XX"),
	}
	prefixNot  = append([]rule{must(`//`, "not have // in it, as Kong merges slashes")}, pathNot...)
	cookieName = []rule{ // token too, RFC 6265, section 4.1.1
		must("^[A-Za-z0-9!#$%&'*+.\\^_`|~-]+$", "be the name of a cookie: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"),
	}
	cookiePathNot = []rule{must(`[;`+control+`]`, "not have ; or control characters in it")}
	cookieDomain  = []rule{must(`^[A-Za-z0-9.-]+$`, beDomain)}
	// What browsers drop the cookie for.
	cookieDomainNot = []rule{
		must(`^\.?[A-Za-z0-9-]*$`, "have a dot in it: browsers drop a cookie of a whole top-level domain; leave it out for the host alone"),
		must(`\.$`, "not end with a dot"),
		must(`\.[0-9]+$`, "be a domain and no address: leave it out for the host alone"),
		must(`\.\.`, beDomain), must(`^\.?-`, beDomain), must(`-$`, beDomain), must(`-\.`, beDomain), must(`\.-`, beDomain),
	}
	hostPrefix   = regexp.MustCompile(`^__[Hh][Oo][Ss][Tt]-`) // in any case, as browsers see it
	securePrefix = regexp.MustCompile(`^__[Ss][Ee][Cc][Uu][Rr][Ee]-`)
	captureName  = []rule{
		must(`^[A-Za-z_][A-Za-z0-9_]*$`, "be the name of a group in the route's path, as in (?<name>...): letters, digits and _"),
	}
	httpMethod = []rule{must(`^[A-Z]+$`, "be an HTTP method in upper case, such as GET")}
	clientIP   = []rule{must(`^[0-9A-Fa-f.:/]+$`, beNetwork)}
	timestamp  = []rule{
		must(`^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][0-9.Z:+-]+$`, beTime),
	}
)

const (
	beNetwork = "be an address or a network, such as 10.0.0.1 or 10.0.0.0/8"
	beFraming = "a header by which Kong tells where a message ends, or what becomes of its connection"
	beDomain  = "be a domain: letters, digits, . and -"
	beTime    = "be a time as in RFC 3339, such as 2026-01-31T18:00:00Z or 2026-01-31T18:00:00+01:00"
)

// mustNot refuses the name of a header, in upper and lower case. Kong's patterns cannot
// ignore the case.
func mustNot(name, message string) rule {
	pattern := ""
	for _, r := range name {
		if unicode.IsLetter(r) {
			pattern += "[" + string(unicode.ToUpper(r)) + string(unicode.ToLower(r)) + "]"
		} else {
			pattern += string(r)
		}
	}
	return must("^"+pattern+"$", "not be "+message)
}

func beHost(pattern string) rule {
	return must(pattern, "be a host name, an IPv4 address or an IPv6 address")
}
