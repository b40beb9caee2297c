package config

import (
	"fmt"
	"slices"
)

// hashKeys are what can be hashed, in Kong's words for Upstreams. Of some there
// are many, so they need a name: hash_on_header.
var (
	hashKeys   = []string{"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"}
	hashByName = []string{"header", "cookie", "query_arg", "uri_capture"}
)

var hashFields = slices.Concat(
	hashKey("hash_on", "Sends the same client to the same backend, by a hash of this. `consumer` is the consumer's id, or the credential's where there is no consumer. The result is the same on every node, and a weight that grows moves clients only to its own backend."),
	hashKey("hash_fallback", "What is hashed if a request lacks what `hash_on` says. If it lacks this too, or this is `none`, the backend is chosen by weight."),
)

// hashKey is a parameter that chooses a key, and those for the key's name.
func hashKey(key, doc string) []field {
	named := func(kind, what string, match []rule) field {
		return field{
			name: key + "_" + kind, kind: kindString, max: maxName, match: match,
			doc: fmt.Sprintf("The name of the %s. Required where `%s` is `%s`, and ignored otherwise.", what, key, kind),
		}
	}
	return []field{
		{name: key, kind: kindString, def: "none", oneOf: hashKeys, http: true, notHTTP: []string{"none", "ip"}, doc: doc},
		named("header", "request header", headerName),
		named("cookie", "cookie", cookieName),
		named("query_arg", "query argument", nil),
		named("uri_capture", "group in the regular expression of the route's path", captureName),
	}
}

// hashChecks are those of Kong's Upstreams, and the same for cookies.
func hashChecks() (checks []check) {
	for _, key := range []string{"hash_on", "hash_fallback"} {
		for _, kind := range hashByName {
			checks = append(checks, check{
				ifField: key, ifEquals: kind, thenField: key + "_" + kind,
				message: fmt.Sprintf("is required where %s is %q", key, kind),
			})
		}
	}
	for _, kind := range hashKeys {
		c := check{ifField: "hash_on", ifEquals: kind, thenField: "hash_fallback"}
		switch {
		case kind == "none":
			c.thenOneOf, c.message = []string{"none"}, "needs hash_on: it is for requests that lack what hash_on says"
		case !slices.Contains(hashByName, kind):
			c.thenOneOf, c.message = slices.DeleteFunc(slices.Clone(hashKeys), func(k string) bool { return k == kind }), "is the same as hash_on; choose another, or leave it out"
		default:
			c = check{distinct: []string{"hash_on_" + kind, "hash_fallback_" + kind}, message: "is the same as hash_on_" + kind + "; choose another"}
		}
		checks = append(checks, c)
	}
	return checks
}
