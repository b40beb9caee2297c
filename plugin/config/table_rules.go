package config

import (
	"fmt"

	"kong-traffic-split/plugin/split"
)

var routingRule = field{
	kind: kindRecord, example: `{match: {headers: {X-Beta: ["1"]}}, backend: canary}`,
	doc: "Conditions on a request, and where it goes if they hold.",
	fields: []field{
		match,
		{
			name: "backend", kind: kindString, max: maxBackend, match: backendName,
			doc: "The name of the backend that takes the request. A rule has either this or `weights`.",
		},
		{
			name: "weights", kind: kindMap, example: `{stable: 9, canary: 1}`, min: 1,
			keys:   &field{kind: kindString, max: maxBackend, match: backendName, doc: "The name of a backend."},
			values: &field{kind: kindInteger, unit: unitShare, min: 0, max: split.MaxWeight, doc: "Its share, relative to the sum."},
			doc:    "Weights by the names of backends, for what follows: session, hash and weight. Backends that are missing have 0; one has to have more.",
		},
	},
	checks: []check{{onlyOneOf: []string{"backend", "weights"}}},
}

var match = field{
	name: "match", kind: kindRecord, example: `{headers: {X-Beta: ["1"]}}`, required: true,
	doc:    "Conditions on the request, all of which have to hold.",
	fields: append(conditions(), not),
	checks: []check{{atLeastOneOf: append(names(conditions()), not.name)}},
	hints:  map[string]string{"path": hintOfPath},
	also:   finishMatch,
}

var not = field{
	name: "not", kind: kindRecord, example: `{headers: {X-Beta: ["~"]}}`,
	doc:    "Conditions on the request, none of which may hold: each of them, and each name in one of them, keeps the rule from holding by itself, and so does a value too long for the expressions. `{headers: {X-Beta: [\"~\"]}}` is for requests without that header.",
	fields: excluding(conditions()),
	checks: []check{{atLeastOneOf: names(conditions())}},
	hints:  map[string]string{"path": hintOfPath, "not": "what has to hold goes beside the first not"},
	also:   finishMatch,
}

// excluding returns conditions as those of a not.
func excluding(conditions []field) []field {
	for i := range conditions {
		c := &conditions[i]
		c.doc = fmt.Sprintf("As `%s` in `match`, for requests that the rule is not for.", c.name)
	}
	return conditions
}

const hintOfPath = "the beginning of the path goes into path_prefix"

// conditions are the fields of a match, and of its not.
func conditions() []field {
	return []field{
		{
			name: "headers", kind: kindMap, example: `{X-Beta: ["1"]}`, keys: &field{kind: kindString, max: maxName, match: headerName, doc: "The name of a request header."}, values: values,
			doc: "Request headers by name, each with a list of values, of which one has to match: exact ones, or regular expressions (RE2) behind a `~`. An expression matches anywhere in the value, unless it has ^ and $. `~` alone matches any value. Expressions are tried on values of up to 8 KiB, and all of them together are bounded.",
		},
		{
			name: "cookies", kind: kindMap, example: `{beta: ["1"]}`, keys: &field{kind: kindString, max: maxName, match: cookieName, doc: "The name of a cookie."}, values: values,
			doc: "Cookies by name, with values as in `headers`.",
		},
		{
			name: "query_args", kind: kindMap, example: `{beta: ["1"]}`, keys: &field{kind: kindString, max: maxName, doc: "The name of a query argument."}, values: values,
			doc: "Query arguments by name, with values as in `headers`.",
		},
		{
			name: "methods", kind: kindArray, example: `[GET, HEAD]`, elements: &field{kind: kindString, max: 32, match: httpMethod, doc: "An HTTP method in upper case."},
			doc: "HTTP methods, of which the request has to have one.",
		},
		{
			name: "path_prefix", kind: kindString, max: maxPath, none: prefixNot, match: uriPath, valid: validPrefix,
			doc: "What the path, as Kong normalises it, begins with.",
		},
		{
			name: "consumers", kind: kindArray, example: `[alice]`, elements: &field{kind: kindString, max: maxName, doc: "A username, a custom_id or an id."},
			doc: "Kong Consumers by username, custom_id or id, of which one has to have been authenticated.",
		},
		{
			name: "client_ips", kind: kindArray, example: `[10.0.0.0/8]`, elements: &field{kind: kindString, max: 64, match: clientIP, valid: validClientIP, doc: "An address or a network."},
			doc: "Addresses and networks, such as 10.0.0.0/8. The client's address has to be in one of them: the forwarded address, as far as Kong's `trusted_ips` allow it.",
		},
	}
}

var values = &field{
	kind: kindArray, min: 1, example: `["1", "~^beta-"]`, doc: "The values of which one has to be there.",
	elements: &field{kind: kindString, max: 1024, valid: validValue, doc: "A value, or a regular expression (RE2) behind a `~`."},
}
