package config

import (
	"slices"

	"kong-traffic-split/plugin/split"
)

var backend = field{
	kind: kindRecord, example: `{host: a.example.com, weight: 9}`,
	doc: "One destination: the route's own Service, a Kong Upstream or a host; or an answer in its place, a redirect.",
	fields: []field{
		{
			name: "name", kind: kindString, max: maxName, match: backendName, derived: "`service`, the upstream, `host:port`, or `redirect`",
			doc: "What clients, logs and metrics see: letters, digits and . _ - : [ ]. Unique among the backends.",
		},
		{
			name: "service", kind: kindBoolean, onlyTrue: true,
			doc: "The route's own Service, with the Host header, retries, timeouts and health checks that Kong uses without the plugin. It takes no call to Kong, so it is the fastest. At most one backend is this.",
		},
		{
			name: "upstream", kind: kindString, max: maxName, none: upstreamNot, match: upstreamName,
			doc: "The name of a Kong Upstream, whose targets, health checks and retries then apply.",
		},
		{
			name: "host", kind: kindString, max: 253, none: hostNot, match: hostName, valid: validHost,
			doc: "A host name, an IPv4 address, or an IPv6 address without brackets.",
		},
		{
			name: "port", kind: kindInteger, unit: unitCount, min: 1, max: 65535, derived: "443 where `protocol` is `https`, else 80",
			doc: "The port of `host`. Not with `upstream`, whose targets have ports of their own, nor with `service`.",
		},
		redirect,
		{
			name: "weight", kind: kindInteger, unit: unitShare, def: 1, min: 0, max: split.MaxWeight,
			doc: "The backend's share, relative to the sum of the weights, which need not be 100. 0 takes no new traffic.",
		},
		{
			name: "protocol", kind: kindString, http: true, oneOf: []string{"http", "https"}, derived: "the Service's; `http` without one",
			doc: "How Kong talks to this backend. Not on a gRPC Service.",
		},
		{
			name: "path", kind: kindString, http: true, max: maxPath, none: pathNot, match: uriPath, valid: validPath, derived: "none",
			doc: "Put before the path that Kong computed, as a Service's path is. It starts with a slash and has no query. Not on a gRPC Service.",
		},
		{
			name: "replace_prefix", kind: kindString, http: true, max: maxPath, none: pathNot, match: uriPath, valid: validPath, derived: "none",
			doc: "Takes the place of the part of the path that the route has matched: with `/v2`, a route on `/shop` sends `/shop/cart` on as `/v2/cart`. What `strip_path` and the Service's path are does not matter. It starts with a slash and has no query. Not with `path` or `replace_path`, nor on a gRPC Service.",
		},
		{
			name: "replace_path", kind: kindString, http: true, max: maxPath, none: pathNot, match: uriPath, valid: validPath, derived: "none",
			doc: "Takes the place of the whole path, and leaves the query. It starts with a slash and has no query. Not with `path` or `replace_prefix`, nor on a gRPC Service.",
		},
		{
			name: "host_header", kind: kindString, http: true, max: maxAuthority, none: hostHeaderNot, match: hostHeader, valid: validHostHeader,
			derived: "of a host, as Kong does for a Service: the client's where the route says `preserve_host`, else the host, with its port unless that is the protocol's own",
			doc:     "The Host header that this backend receives: `preserve` for the client's own, or a literal host, with a port or without. Over TLS the server name follows it.",
		},
		{
			name: "timeouts", kind: kindRecord, example: `{connect: 1, read: 5}`, derived: "the Service's",
			doc: "How long Kong waits for this backend, in the place of the Service's timeouts. What is left out is the Service's.",
			fields: []field{
				{
					name: "connect", kind: kindNumber, unit: unitSeconds, low: 0.001, high: maxTimeout, decimals: 3, derived: "the Service's `connect_timeout`",
					doc: "Seconds until a connection has to be there.",
				},
				{
					name: "write", kind: kindNumber, unit: unitSeconds, low: 0.001, high: maxTimeout, decimals: 3, derived: "the Service's `write_timeout`",
					doc: "Seconds for which this backend may take nothing of the request, from one write to the next.",
				},
				{
					name: "read", kind: kindNumber, unit: unitSeconds, low: 0.001, high: maxTimeout, decimals: 3, derived: "the Service's `read_timeout`",
					doc: "Seconds for which this backend may send nothing of its answer, from one read to the next.",
				},
			},
			checks: []check{{atLeastOneOf: []string{"connect", "write", "read"}}},
			hints:  map[string]string{"send": "it is write here", "request": "Kong has no timeout for a request as a whole; read is from one read to the next"},
		},
		{
			name: "retries", kind: kindInteger, unit: unitCount, min: 0, max: 32767, derived: "the Service's",
			doc: "How often Kong tries again when this backend cannot be reached or times out, in the place of the Service's `retries`: an Upstream's next target, or the same host. 0: not at all.",
		},
		{
			name: "request_headers", kind: kindRecord, http: true, example: `{set: {X-Env: canary}}`,
			doc: "Changes to the headers that this backend receives.",
			fields: []field{
				{
					name: "set", kind: kindMap, example: `{X-Env: canary}`, keys: requestHeader, values: headerValue,
					doc: "Headers that get these values, whatever the client sent. For Host, see `host_header`.",
				},
				{
					name: "add", kind: kindMap, example: `{X-Env: canary}`, keys: requestHeader, values: headerValue,
					doc: "Headers that are added to those that the client sent.",
				},
				{
					name: "remove", kind: kindArray, example: `[X-Debug]`, elements: requestHeader,
					doc: "Names of headers that this backend does not receive.",
				},
			},
		},
		{
			name: "response_headers", kind: kindRecord, http: true, example: `{add: {X-Served-By: canary}}`,
			doc: "Changes to the headers that the clients of this backend receive.",
			fields: []field{
				{
					name: "set", kind: kindMap, example: `{X-Served-By: canary}`, keys: replacedHeader, values: headerValue,
					doc: "Headers that get these values, whatever the backend has sent. It takes a row of Kong's `post-function` beside the plugin's, which `splitctl companion` writes.",
				},
				{
					name: "add", kind: kindMap, example: `{X-Served-By: canary}`, keys: responseHeader, values: headerValue,
					doc: "Headers that are added to those of the response.",
				},
				{
					name: "remove", kind: kindArray, example: `[Server]`, elements: replacedHeader,
					doc: "Names of headers that clients do not receive. It takes the same row.",
				},
			},
		},
		health,
		{
			name: "slow_start", kind: kindNumber, unit: unitSeconds, low: 0.001, high: 86400, decimals: 3, derived: "off",
			doc: "Seconds over which the backend's share grows from 0 to its own once its `health` has found it healthy again, or its ejection has ended. The others have what it leaves, by their weights. Only with `health`.",
		},
	},
	checks: slices.Concat([]check{
		{onlyOneOf: []string{"service", "upstream", "host", "redirect"}},
		notOfService("port", "goes with host only; the Service has a port of its own"),
		notOfService("protocol", "goes with host and upstream only; the Service has a protocol of its own"),
		notOfService("path", "goes with host and upstream only; the Service has a path of its own"),
		notOfService("replace_prefix", "goes with host and upstream only; the Service has a path of its own"),
		notOfService("replace_path", "goes with host and upstream only; the Service has a path of its own"),
		{mutuallyExclusive: []string{"path", "replace_prefix", "replace_path"}},
		notOfService("host_header", "goes with host and upstream only; the Service receives what the route's preserve_host says"),
		notOfService("health", "goes with host only; an Upstream has health checks of its own, also where it is the Service's host"),
		notOfService("slow_start", "goes with host only; when the Service recovers is not known here"),
		{
			ifField: "upstream", thenField: "slow_start", thenAbsent: true,
			message: "goes with host only; Kong does not say when the targets of an Upstream recover",
		},
		{
			ifField: "slow_start", thenField: "health", thenRecord: true,
			message: "is required where there is a slow_start: without it, no backend is ever found unhealthy",
		},
		{
			ifField: "upstream", thenField: "port", thenAbsent: true,
			message: "goes with host only; the targets of an Upstream have ports of their own",
		},
		{
			ifField: "upstream", thenField: "health", thenAbsent: true,
			message: "goes with host only; an Upstream has health checks of its own",
		},
	}, redirectChecks()),
	hints: map[string]string{
		"url":    "its parts are protocol, host, port and path",
		"target": "use host and port, or upstream for a Kong Upstream",

		"connect_timeout": "it is connect in timeouts, in seconds",
		"write_timeout":   "it is write in timeouts, in seconds",
		"read_timeout":    "it is read in timeouts, in seconds",
		"retry":           "retry stands beside backends; how often Kong tries this one again is retries",
	},
	also: finishBackend,
}

// maxTimeout is Kong's longest timeout, in seconds.
const maxTimeout = 2147483.646

// notOfService refuses a field of a backend that is the route's own Service.
func notOfService(name, message string) check {
	return check{ifField: "service", thenField: name, thenAbsent: true, message: message}
}

const notFraming = "Content-Length, Transfer-Encoding or Connection"

var requestHeader = &field{
	kind: kindString, max: maxName, doc: "The name of a header, other than Host, " + notFraming + ".",
	none:  append([]rule{mustNot("Host", "among these; use host_header")}, framing...),
	match: headerName,
}

var responseHeader = &field{
	kind: kindString, max: maxName, match: headerName, doc: "The name of a header, other than " + notFraming + ".",
	none: framing,
}

var replacedHeader = &field{
	kind: kindString, max: maxName, match: headerName, doc: "The name of a header, other than Set-Cookie, " + notFraming + ".",
	none: append([]rule{mustNot("Set-Cookie", "set or removed, as the cookies of this plugin and of others would go with it")}, framing...),
}

var headerValue = &field{
	kind: kindString, max: maxHeader, doc: "The value of a header.",
	none: []rule{must(`[`+control+`]`, "not have control characters in it")},
}

var health = field{
	name: "health", kind: kindRecord, example: `{active: {path: /healthz}}`,
	doc: "How the server finds out that this host is unhealthy. It is healthy at first. `on_unavailable` says who gets its share while it is unhealthy. Not with `upstream`, which has health checks of its own, nor with `service`.",
	fields: []field{
		{
			name: "active", kind: kindRecord, example: `{path: /healthz}`, also: finishActive,
			doc: "The server probes the host, apart from the requests.",
			fields: []field{
				{
					name: "path", kind: kindString, def: "/", empty: true, max: maxPath, none: probePathNot, match: probePath, valid: validPath,
					doc: "What a probe asks for, by GET. A status from 200 to 399 is a success. If this is empty, the probe opens a TCP connection.",
				},
				{
					name: "interval", kind: kindNumber, unit: unitSeconds, def: 5.0, low: 0.1, high: 3600, decimals: 3,
					doc: "Seconds from one probe to the next.",
				},
				{
					name: "timeout", kind: kindNumber, unit: unitSeconds, low: 0.001, high: 3600, decimals: 3, derived: "1, or `interval` where that is shorter",
					doc: "Seconds after which a probe has failed. Not longer than `interval`.",
				},
				{
					name: "healthy", kind: kindInteger, unit: unitCount, def: 2, min: 1, max: 255,
					doc: "How many probes in a row have to succeed before an unhealthy host is healthy again.",
				},
				{
					name: "unhealthy", kind: kindInteger, unit: unitCount, def: 3, min: 1, max: 255,
					doc: "How many probes in a row have to fail before a healthy host is unhealthy.",
				},
			},
		},
		{
			name: "passive", kind: kindRecord, example: `{failures: 5}`, http: true, outcomes: true,
			doc: "Ejects the host when requests to it fail. The plugin server has to be started with `-outcomes`.",
			fields: []field{
				{
					name: "failures", kind: kindInteger, unit: unitCount, def: 5, min: 1, max: 10_000,
					doc: "How many requests in a row have to fail.",
				},
				{
					name: "ejection", kind: kindNumber, unit: unitSeconds, def: 30.0, low: 0.1, high: 86_400, decimals: 3,
					doc: "Seconds for which the host stays ejected.",
				},
			},
		},
	},
}
