package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kong-traffic-split/kong/declarative"
)

var rampSessions = &Check{
	ID: "ramp-sessions", Severity: Warning,
	Doc: "A ramp on a split with a `session` that lasts as long as the ramp or longer, or is renewed: who has come before stays at the old backend, so that the canary does not get its share.",
	split: func(u *use, r report) {
		if u.Ramp == nil || u.Session == nil || u.Ramp.Hold != nil {
			return
		}
		lasts := u.Ramp.Duration
		for _, step := range u.Ramp.Plan {
			lasts += step.For
		}
		if lasts == 0 || u.Session.MaxAge > 0 && float64(u.Session.MaxAge) < lasts && !u.Session.Renew {
			return
		}
		age, way := "until the browser closes, as max_age is 0", ""
		switch {
		case u.Session.Renew:
			age, way = "for as long as it comes, by renew", " without renew"
		case u.Session.MaxAge > 0:
			age = fmt.Sprintf("for max_age, %d s", u.Session.MaxAge)
		}
		r(at("session"), "pins a client %s, and the ramp is over after %v s: clients that return stay where they are, so that %q gets less than its share; write a max_age that is short beside the ramp%s, or hash_on in the place of session", age, lasts, u.Ramp.Backend, way)
	},
}

var rampRules = &Check{
	ID: "ramp-rules", Severity: Warning,
	Doc: "A ramp on a split with a rule that holds for all requests of its routes: the rule decides, and the ramp has no part in it.",
	split: func(u *use, r report) {
		if u.Ramp == nil {
			return
		}
		for i, rule := range u.Rules {
			if u.alwaysHolds(&rule.Match) {
				r(at("rules", i), "holds for each request, so that it decides and the ramp of %q has no effect: make its match narrower, or take it out", u.Ramp.Backend)
				return
			}
		}
	},
}

var guardIdle = &Check{
	ID: "guard-idle", Severity: Warning,
	Doc: "A guard whose `rollback_to` is the largest share of the ramp or more: a rollback would change nothing.",
	split: func(u *use, r report) {
		if u.Ramp == nil || u.Ramp.Guard == nil {
			return
		}
		largest := u.Ramp.From
		if u.Ramp.To != nil {
			largest = max(largest, *u.Ramp.To)
		}
		for _, step := range u.Ramp.Plan {
			largest = max(largest, step.Share)
		}
		if to := u.Ramp.Guard.RollbackTo; to >= largest {
			r(at("ramp", "guard", "rollback_to"), "is %v, and the ramp's largest share is %v, so that a rollback changes nothing: write a smaller one", to, largest)
		}
	},
}

var captureMissing = &Check{
	ID: "capture-missing", Severity: Warning,
	Doc: "`hash_on: uri_capture` with a name that no path of the route captures.",
	split: func(u *use, r report) {
		for _, key := range []struct{ on, name, field string }{
			{u.HashOn, u.HashOnURICapture, "hash_on_uri_capture"},
			{u.HashFallback, u.HashFallbackURICapture, "hash_fallback_uri_capture"},
		} {
			if key.on != "uri_capture" {
				continue
			}
			for _, route := range u.routes {
				if !captures(route.Route, key.name) {
					r(at(key.field), "no path of the %s captures %q: write a path such as ~/users/(?<%s>[^/]+), or the name that it has", nameOf(route.Route), key.name, key.name)
					break
				}
			}
		}
	},
}

// captures reports whether a path of a route has a capture of that name, or number.
func captures(r *declarative.Route, name string) bool {
	if r.Expression != nil { // its paths are in there
		return true
	}
	return slices.ContainsFunc(r.Paths, func(path string) bool {
		expression, isRegexp := strings.CutPrefix(path, "~")
		if !isRegexp {
			return false
		}
		re, err := regexp.Compile(declarative.RouteRegexp(expression))
		if err != nil || slices.Contains(re.SubexpNames(), name) {
			return true
		}
		for i := 1; i <= re.NumSubexp(); i++ {
			if fmt.Sprint(i) == name {
				return true
			}
		}
		return false
	})
}
