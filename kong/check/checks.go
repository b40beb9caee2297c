package check

// A Check is one kind of finding.
type Check struct {
	ID       string
	Severity Severity
	Doc      string // what it finds, for docs/splitctl.md

	refusal bool                      // Kong or the plugin refuses it, so that nobody can ignore it
	split   func(u *use, r report)    // finds it in one split
	row     func(row *Row, r report)  // finds it in one row of the plugin
	kong    func(k *Kong, r report)   // finds it in one file of Kong's
	all     func(c *checker, f found) // finds it in all files together
}

// report adds a finding at a place: of the split's config, of the row, or of the file.
type report func(place []any, format string, args ...any)

// at is a place.
func at(steps ...any) []any { return steps }

// Checks returns all checks, in the order of the documentation.
func Checks() []*Check { return checks }

// checks is the table of them.
var checks = []*Check{
	unreadable, refusedByKong, refusedByPlugin, refusedRoute, otherInKong, noOutcomes, streamNeedsHTTP, backendUnreachable, routeWithoutService, protocolsDiffer,
	repeatedKey, secondDocument, pluginName,
	noWeight, upstreamMissing, upstreamEmpty, hostIsUpstream, sameDestination, portOfOtherProtocol, unbufferedAlone,
	rowUnused, twoSplits, splitMissing, splitUnused, cachedAnswers, otherPlugin,
	companionMissing, companionIdle, retryIdle,
	mirrorNever, mirrorIdle, mirrorBodies, mirrorTwice, mirrorIntoKong,
	redirectLoop,
	rampSessions, rampRules, guardIdle, healthIdle, timeoutUnit, ruleNever,
	cookieDomain, cookiePath, cookieSecure, cookiePartitioned, cookieShared, cookieGRPC,
	consumerMissing, consumerUnknown, captureMissing, responseHeaderPublic,
	wrongIgnore,
}

// Refusals: without these, Kong or the plugin would answer with an error, or not at all.
var (
	unreadable = &Check{
		ID: "unreadable", Severity: Error, refusal: true,
		Doc: "The file is neither YAML nor JSON, or of no kind that is known.",
	}
	refusedByKong = &Check{
		ID: "refused-by-kong", Severity: Error, refusal: true,
		Doc: "Kong refuses the file: an unknown field, a route that a row is on and that is not there, a name that is there twice, and so on, in Kong's words.",
	}
	refusedByPlugin = &Check{
		ID: "refused-by-plugin", Severity: Error, refusal: true,
		Doc: "The plugin refuses the config of a row, or the plugin server the split file.",
	}
	noOutcomes = &Check{
		ID: "no-outcomes", Severity: Error, refusal: true,
		Doc: "A guard or passive health checks, where `--no-outcomes` says that the plugin server is started without `-outcomes`. A file cannot say how the server is started, so there is nothing about it otherwise.",
	}
	streamNeedsHTTP = &Check{
		ID: "stream-needs-http", Severity: Error, refusal: true,
		Doc:   "A parameter that needs HTTP, such as a session, on a route for TCP or TLS: the plugin refuses each connection.",
		split: entryNeedsHTTP,
	}
	backendUnreachable = &Check{
		ID: "backend-unreachable", Severity: Error, refusal: true,
		Doc:   "A backend to which Kong cannot go over from the route's Service: `protocol`, `path` or a redirect where it speaks gRPC, `replace_prefix` where it is not known what the route matches.",
		split: entryUnreachable,
	}
	routeWithoutService = &Check{
		ID: "route-without-service", Severity: Error, refusal: true,
		Doc:   "The route of a row has no Service, and a backend is `service: true`, or the route is for TCP, TLS or gRPC, which Kong proxies by the Service's protocol. A route for HTTP needs none, nor one that passes TLS on.",
		split: entryWithoutService,
	}
	protocolsDiffer = &Check{
		ID: "protocols-differ", Severity: Error,
		Doc: "The protocols of a row are for HTTP and those of its route for TCP or TLS, or the other way round, so that it never runs there.",
	}
)

// byID returns the check of an id; nil: there is none.
func byID(id string) *Check {
	for _, c := range checks {
		if c.ID == id {
			return c
		}
	}
	return nil
}
