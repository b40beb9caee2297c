// Package conformance runs tests of the Gateway API's own conformance suite, unmodified,
// against what splitctl convert makes of their manifests: a client keeps the objects that
// the suite applies, converts the routes of each Gateway, and loads the outcome into a
// stand-in with a plugin server. docs/gateway-api.md has the table of what passes.
package conformance
