package check

import (
	"slices"

	"kong-traffic-split/plugin/config"
)

var unbufferedAlone = &Check{
	ID: "unbuffered-without-service", Severity: Warning,
	Doc: "A route without a Service has `request_buffering: false` or `response_buffering: false`: Kong goes by these only where there is one, and buffers all the same.",
	split: func(u *use, r report) {
		goesOn := func(b config.Backend) bool { return b.Redirect == nil }
		for _, route := range u.routes {
			if route.Service != nil || !slices.ContainsFunc(u.Backends, goesOn) {
				continue
			}
			for _, what := range []string{"request_buffering", "response_buffering"} {
				if buffers, known := route.Row[what].(bool); known && !buffers {
					r(nil, "the %s says %s: false, and has no Service, without which Kong buffers all the same: give it one (it need not lead anywhere), or leave %s out", nameOf(route.Route), what, what)
				}
			}
		}
	},
}
