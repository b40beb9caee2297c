package check

import (
	"strconv"

	"kong-traffic-split/plugin/config"
)

var timeoutUnit = &Check{
	ID: "timeout-unit", Severity: Warning,
	Doc: "A backend's timeout that is meant in milliseconds, as those of Kong's Services are, by all appearance: `connect` of 100 seconds and more, `read` or `write` of 10000 and more.",
	split: func(u *use, r report) {
		for i, b := range u.Backends {
			for _, t := range []struct {
				key           string
				seconds, most float64
			}{
				{"connect", b.Timeouts.Connect, 100},
				{"write", b.Timeouts.Write, 10_000},
				{"read", b.Timeouts.Read, 10_000},
			} {
				if t.seconds >= t.most {
					r(at("backends", i, "timeouts", t.key), "is %s: timeouts are in seconds here, and in milliseconds at Kong's Services: write %s", config.Seconds(t.seconds), strconv.FormatFloat(t.seconds/1000, 'f', -1, 64))
				}
			}
		}
	},
}
