package config

import (
	"math"

	"kong-traffic-split/plugin/split"
)

var mirror = field{
	name: "mirror", kind: kindArray, example: `[{host: shadow.example.com, percent: 10}]`, max: maxMirrors, elements: &shadow, http: true,
	doc: "Shadows that get a copy of requests, headers and body. The plugin's server sends it, beside the request, which does not wait for it, and throws the answer away. A copy has the header `X-Shadow: traffic-split`, and a request that has it is not copied again. Not for gRPC and WebSocket.",
}

// maxCopied is the longest body that can be copied, in bytes: it fits well into one reply of
// Kong's, for which there is a limit.
const maxCopied = 8 << 20

// maxMirrors is how many shadows a split can have.
const maxMirrors = 8

var shadow = field{
	kind: kindRecord, example: `{host: shadow.example.com, percent: 10}`,
	doc: "One shadow: a host, or a backend of this split that is one.",
	fields: []field{
		{
			name: "backend", kind: kindString, max: maxBackend, match: backendName,
			doc: "The name of the backend that gets the copies as it gets requests, with the path, Host and headers that it has. It has a `host`. A request that goes to it anyway is not copied to it.",
		},
		{
			name: "host", kind: kindString, max: 253, none: hostNot, match: hostName, valid: validHost,
			doc: "A host name, an IPv4 address, or an IPv6 address without brackets.",
		},
		{
			name: "port", kind: kindInteger, unit: unitCount, min: 1, max: 65535, derived: "443 where `protocol` is `https`, else 80",
			doc: "The port of `host`.",
		},
		{
			name: "protocol", kind: kindString, oneOf: []string{"http", "https"}, derived: "the Service's; `http` without one",
			doc: "How the server talks to `host`. As Kong does unless it is told to, it does not verify the certificate.",
		},
		{
			name: "host_header", kind: kindString, max: maxAuthority, none: hostHeaderNot, match: hostHeader, valid: validHostHeader,
			derived: "as for a backend: the client's where the route says `preserve_host`, else the host, with its port unless that is the protocol's own",
			doc:     "The Host header of copies to `host`: `preserve` for the client's own, or a literal host, with a port or without. Over TLS the server name follows it.",
		},
		{
			name: "sources", kind: kindArray, example: `[stable]`, max: split.MaxBackends, elements: &field{kind: kindString, max: maxName, match: backendName, doc: "The name of a backend."},
			derived: "all but the shadow itself",
			doc:     "The backends whose requests are copied.",
		},
		{
			name: "percent", kind: kindNumber, unit: unitPercent, low: 0, high: 100, decimals: 2, derived: "100, where there is no `fraction`",
			doc: "How many of these requests are copied, in percent: exactly, by a rotation of its own.",
		},
		{
			name: "fraction", kind: kindRecord, example: `{numerator: 1, denominator: 3}`, derived: "none", also: finishFraction,
			doc: "In the place of `percent`, for parts such as a third.",
			fields: []field{
				{name: "numerator", kind: kindInteger, unit: unitCount, required: true, min: 0, max: math.MaxInt32, doc: "How many requests of the denominator are copied."},
				{name: "denominator", kind: kindInteger, unit: unitCount, def: 100, min: 1, max: math.MaxInt32, doc: "The whole."},
			},
		},
		{
			name: "request_headers", kind: kindRecord, example: `{remove: [Authorization, Cookie]}`,
			doc: "Changes to the headers of copies, after those that `backend` has.",
			fields: []field{
				{
					name: "set", kind: kindMap, example: `{X-Env: shadow}`, keys: shadowHeader, values: headerValue,
					doc: "Headers that get these values, whatever the client sent. For Host, see `host_header`.",
				},
				{
					name: "add", kind: kindMap, example: `{X-Env: shadow}`, keys: shadowHeader, values: headerValue,
					doc: "Headers that are added to those that the client sent.",
				},
				{
					name: "remove", kind: kindArray, example: `[Authorization, Cookie]`, elements: shadowHeader,
					doc: "Names of headers that copies do not have, such as those with credentials.",
				},
			},
		},
		{
			name: "max_body", kind: kindInteger, unit: unitCount, def: 1 << 20, min: 0, max: maxCopied,
			doc: "The longest body that is copied, in bytes. A request with a longer one, or with one whose length it does not say, is not copied. A body that is longer than Kong's `client_body_buffer_size`, 8 KiB by default, is in a file, which the server has to be able to read.",
		},
	},
	checks: []check{
		{onlyOneOf: []string{"backend", "host"}},
		{mutuallyExclusive: []string{"percent", "fraction"}},
		notOfShadow("port"), notOfShadow("protocol"), notOfShadow("host_header"),
	},
	hints: map[string]string{
		"upstream": "copies do not go through Kong; give host and port",
		"service":  "copies do not go through Kong; give host and port",
		"url":      "its parts are protocol, host and port",
		"path":     "give the path to a backend of weight 0, and name that in backend",
		"weight":   "how many of the requests are copied is their percent",
	},
	also: finishShadow,
}

// notOfShadow refuses a field of a shadow that is a backend.
func notOfShadow(name string) check {
	return check{ifField: "backend", thenField: name, thenAbsent: true, message: "goes with host only; the backend has its own"}
}

var shadowHeader = &field{
	kind: kindString, max: maxName, doc: "The name of a header, other than X-Shadow, Host, " + notFraming + ".",
	none: append([]rule{
		mustNot("X-Shadow", "among these: it marks copies, so that they are not copied again"),
	}, requestHeader.none...),
	match: headerName,
}
