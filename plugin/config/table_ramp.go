package config

import "kong-traffic-split/plugin/split"

var ramp = field{
	name: "ramp", kind: kindRecord, example: `{backend: canary, start: "2026-01-31T18:00:00Z", duration: 3600}`, also: finishRamp,
	doc: "Changes the share of one backend by the clock. The others keep their ratio in the rest.",
	fields: []field{
		{
			name: "backend", kind: kindString, required: true, max: maxBackend, match: backendName,
			doc: "The name of the backend whose share changes. Its own weight is ignored while there is a ramp.",
		},
		{
			name: "from", kind: kindNumber, unit: unitPercent, def: 0.0, low: 0, high: 100, decimals: 2,
			doc: "The share before `start`, in percent.",
		},
		{
			name: "to", kind: kindNumber, unit: unitPercent, low: 0, high: 100, decimals: 2, derived: "`100` where there is no `plan`",
			doc: "The share at the end, and from then on, in percent.",
		},
		{
			name: "start", kind: kindString, required: true, max: 64, match: timestamp, valid: validTime,
			doc: "When it begins, as in RFC 3339: 2026-01-31T18:00:00Z, or with an offset.",
		},
		{
			name: "duration", kind: kindNumber, unit: unitSeconds, low: 0.001, high: 31_536_000, decimals: 3,
			doc: "Seconds from `start` to the end, a year at most.",
		},
		{
			name: "steps", kind: kindInteger, unit: unitCount, min: 0, max: 10_000, derived: "`0`",
			doc: "In how many equal steps the share changes. 0: continuously.",
		},
		{
			name: "plan", kind: kindArray, example: `[{share: 5, for: 600}, {share: 25}, {share: 100}]`, min: 1, max: split.MaxPlan, elements: &planStep,
			doc: "Steps of any size, instead of `to`, `duration` and `steps`. `start` begins the first one.",
		},
		{
			name: "hold", kind: kindNumber, unit: unitPercent, low: 0, high: 100, decimals: 2, derived: "the clock decides",
			doc: "The share, in percent, whatever the clock says, until this is taken out again. Then the clock has gone on: move `start` as well.",
		},
		guard,
	},
	checks: []check{
		{onlyOneOf: []string{"duration", "plan"}},
		{ifField: "plan", thenField: "to", thenAbsent: true, message: "does not go with plan, whose last step has the share of the end: leave it out"},
		{ifField: "plan", thenField: "steps", thenAbsent: true, message: "does not go with plan, which has steps of its own: leave it out"},
	},
}

var planStep = field{
	kind: kindRecord, example: `{share: 5, for: 600}`,
	doc: "A share, and for how long.",
	fields: []field{
		{
			name: "share", kind: kindNumber, unit: unitPercent, required: true, low: 0, high: 100, decimals: 2,
			doc: "The share of this step, in percent.",
		},
		{
			name: "for", kind: kindNumber, unit: unitSeconds, low: 0.001, high: 31_536_000, decimals: 3, derived: "until the plan changes",
			doc: "Seconds until the next step, a year at most. Without it the ramp stops here: what comes after this step is for a later config, which adds `for`.",
		},
	},
	hints: map[string]string{
		"duration": "seconds until the next step go into for",
		"weight":   "the percentage of this step goes into share",
	},
}

var guard = field{
	name: "guard", kind: kindRecord, example: `{max_error_ratio: 0.05}`, http: true, outcomes: true,
	doc: "Rolls the ramp back when requests to the backend fail or take too long, and another backend can take its share. It stays rolled back until the ramp itself changes. Only for a share that grows. The plugin server has to be started with `-outcomes`.",
	fields: []field{
		{
			name: "rollback_to", kind: kindNumber, unit: unitPercent, def: 0.0, low: 0, high: 100, decimals: 2,
			doc: "The share after a rollback, in percent. A share that was smaller stays as it was.",
		},
		{
			name: "max_error_ratio", kind: kindNumber, unit: unitRatio, low: 0.0001, high: 0.9999, decimals: 4,
			doc: "The part of the requests that may fail: 0.05 is one of twenty.",
		},
		{
			name: "max_error_excess", kind: kindNumber, unit: unitRatio, low: 0.0001, high: 0.9999, decimals: 4,
			doc: "By how much the part that fails may be above that of all other backends together: with 0.05, 0.07 may fail where 0.02 of the others' fail. It needs `min_requests` of the others too.",
		},
		{
			name: "max_latency", kind: kindNumber, unit: unitSeconds, low: 0.001, high: split.MaxLatency.Seconds(), decimals: 3,
			doc: "Seconds until the backend begins to answer, which `quantile` of the requests may take at most. One that fails without an answer of the backend counts as longer than any.",
		},
		{
			name: "quantile", kind: kindNumber, unit: unitRatio, def: 0.95, low: 0.01, high: 0.9999, decimals: 4,
			doc: "The part of the requests that has to be within `max_latency`.",
		},
		{
			name: "min_requests", kind: kindInteger, unit: unitCount, def: 20, min: 1, max: 1_000_000,
			doc: "How many requests there have to be in the window before they are judged.",
		},
		{
			name: "window", kind: kindNumber, unit: unitSeconds, def: 60.0, low: 1, high: 86_400, decimals: 3,
			doc: "Requests are counted over the last so many seconds.",
		},
		{
			name: "wait", kind: kindBoolean, def: false,
			doc: "No step follows before the one under way was judged: until `min_requests` of it were counted, and none of the limits is exceeded. Needs a `plan`, or `steps`.",
		},
	},
	checks: []check{{atLeastOneOf: []string{"max_error_ratio", "max_error_excess", "max_latency"}}},
}

// GuardKeys returns the names of a guard's parameters.
func GuardKeys() (names []string) {
	for _, f := range guard.fields {
		names = append(names, f.name)
	}
	return names
}
