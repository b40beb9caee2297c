// Package httproute converts routes of the Gateway API, HTTPRoutes and GRPCRoutes with
// the Services, Gateways, ReferenceGrants and KongPlugins that they refer to, into what
// Kong and the plugin read.
//
// It refuses what an API server with the Gateway API's CRDs would refuse: schema.json
// has what they demand of an object, rules.go their rules in CEL. What Kong or the plugin
// cannot do is refused, too, so that nothing of a route is dropped in silence. Each
// [Problem] says where it is.
//
// The names of what it makes are those of Kong's ingress controller:
// httproute.NAMESPACE.NAME.RULE for a Kong Service, and ….MATCH for a Kong route, both
// counted from 0.
package httproute
