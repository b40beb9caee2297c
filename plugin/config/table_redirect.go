package config

var redirect = field{
	name: "redirect", kind: kindRecord, http: true, example: `{hostname: new.example.com}`,
	doc: "In the place of a destination: the client is answered with a redirect to another URL, which has the query it came with. What is left out here is as the client asked for it, by the address that it sees, behind a load balancer too: see [redirects](how-it-chooses.md#redirects). Beside it go `name`, `weight` and `response_headers.add` alone. Not on a gRPC Service.",
	fields: []field{
		{
			name: "scheme", kind: kindString, oneOf: []string{"http", "https"}, derived: "the request's",
			doc: "The scheme of the URL.",
		},
		{
			name: "hostname", kind: kindString, max: 253, none: hostNot, match: hostName, valid: validHost, derived: "the request's",
			doc: "The host of the URL: a name, an IPv4 address, or an IPv6 address without brackets.",
		},
		{
			name: "port", kind: kindInteger, unit: unitCount, min: 1, max: 65535, derived: "the scheme's own where there is a `scheme` here, else the request's",
			doc: "The port of the URL, which shows it unless it is the scheme's own.",
		},
		{
			name: "path", kind: kindString, max: maxPath, none: pathOfRedirectNot, match: uriPath, valid: validPath, derived: "the request's",
			doc: "The path of the URL, whatever the client asked for. It starts with a slash and has no query.",
		},
		{
			name: "replace_prefix", kind: kindString, max: maxPath, none: pathOfRedirectNot, match: uriPath, valid: validPath, derived: "none",
			doc: "Takes the place of the part of the path that the route has matched. It starts with a slash and has no query.",
		},
		{
			name: "status", kind: kindInteger, unit: unitCount, def: 302, numbers: []int{301, 302, 303, 307, 308},
			doc: "The status of the answer. Alone, it leads to the URL that was asked, as 303 may after a POST. With 307 and 308 clients send the same method and body again; with 301 and 308 they may remember the answer, and ask here no more.",
		},
	},
	checks: []check{
		{mutuallyExclusive: []string{"path", "replace_prefix"}},
	},
	hints: map[string]string{
		"location": "its parts are scheme, hostname, port and path",
		"url":      "its parts are scheme, hostname, port and path",
		"host":     "use hostname",
	},
}

// pathOfRedirectNot keeps a path from being read as a host.
var pathOfRedirectNot = append([]rule{must(`^//`, "not start with two slashes")}, pathNot...)

// notOfRedirect refuses a field of a backend that answers with a redirect.
func notOfRedirect(name, message string) check {
	return check{mutuallyExclusive: []string{"redirect", name}, message: message} // no condition: Kong fails on one of a record
}

// redirectChecks refuse what a backend without a destination has no use for.
func redirectChecks() []check {
	const only = "goes with a destination only; "
	return []check{
		notOfRedirect("port", only+"the port of a redirect is redirect.port"),
		notOfRedirect("protocol", only+"the scheme of a redirect is redirect.scheme"),
		notOfRedirect("path", only+"the path of a redirect is redirect.path"),
		notOfRedirect("replace_prefix", only+"that of a redirect is redirect.replace_prefix"),
		notOfRedirect("replace_path", only+"the path of a redirect is redirect.path"),
		notOfRedirect("host_header", only+"the host of a redirect is redirect.hostname"),
		notOfRedirect("timeouts", only+"Kong waits for nobody where it answers with a redirect"),
		notOfRedirect("retries", only+"Kong waits for nobody where it answers with a redirect"),
		notOfRedirect("request_headers", only+"nobody receives a request that is answered with a redirect"),
		notOfRedirect("health", only+"a redirect does not fail"),
		notOfRedirect("slow_start", only+"a redirect does not fail"),
	}
}
