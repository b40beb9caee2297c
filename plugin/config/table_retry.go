package config

import "kong-traffic-split/plugin/split"

var retry = field{
	name: "retry", kind: kindRecord, example: `{max: 1}`, http: true,
	doc: "A request that fails on one backend, before any of its answer has come, is tried on another one. All backends have to be hosts. It takes a row of Kong's `post-function` beside the plugin's, which `splitctl companion` writes; without that row, nothing is tried elsewhere. What counts as failed, and which requests are repeated, is nginx's rule.",
	fields: []field{
		{
			name: "max", kind: kindInteger, unit: unitCount, def: 1, min: 1, max: split.MaxBackends - 1,
			doc: "How many other backends are tried at most, one after another, each of them once.",
		},
		{
			name: "backend", kind: kindString, max: maxBackend, match: backendName, derived: "all others, by their weights",
			doc: "The name of the only backend that is tried. A request that has failed there is not tried again.",
		},
	},
}
