package config

import (
	"slices"

	"kong-traffic-split/plugin/split"
)

// row is the table: every parameter of a plugin row of Kong, described in this
// one place.
var row = field{
	kind: kindRecord, example: `{backends: [{host: a.example.com}]}`,
	doc: "The split of one route, service or consumer, or of the whole gateway.",
	fields: slices.Concat([]field{
		{
			name: "backends", kind: kindArray, example: `[{host: a.example.com, weight: 9}, {host: b.example.com, weight: 1}]`, min: 1, max: split.MaxBackends, elements: &backend,
			doc: "The destinations among which the requests are shared out, in order.",
		},
		{
			name: "algorithm", kind: kindString, def: "smooth", oneOf: []string{"smooth", "random"},
			doc: "How a backend is chosen by weight. `smooth` keeps each backend, after any number of requests, less than one request off its share; `random` draws each time.",
		},
	}, hashFields, []field{
		session,
		{
			name: "rules", kind: kindArray, example: `[{match: {headers: {X-Beta: ["1"]}}, backend: canary}]`, max: 256, elements: &routingRule, http: true,
			doc: "Decisions by what is in a request, in order. The first rule that matches counts: its `backend` takes the request, or its `weights` take the place of the backends' own, for this request. A session with a backend that has no weight there is ignored.",
		},
		{
			name: "force_header", kind: kindString, max: maxName, match: headerName, derived: "off", http: true,
			doc: "The name of a request header whose value names the backend that takes the request, before everything else. A name that no backend has is ignored. Any client can send the header.",
		},
		ramp,
		{
			name: "on_unavailable", kind: kindString, def: "fail", oneOf: []string{"fail", "redistribute", "fallback"},
			doc: "What happens to the share of a backend that cannot be used, such as one that is unhealthy or whose Upstream does not exist: `fail` answers it with an error, `redistribute` gives it to the other backends by their weights, `fallback` to the backend named in `fallback`.",
		},
		{
			name: "fallback", kind: kindString, max: maxBackend, match: backendName,
			doc: "The name of the backend that takes the share of one that cannot be used. Required where `on_unavailable` is `fallback`, and ignored otherwise.",
		},
		{
			name: "max_ejected", kind: kindNumber, unit: unitPercent, low: 0, high: 100, decimals: 2, derived: "100",
			doc: "How much of the weights health checks may put out at once, in percent. Of the backends that are unhealthy or ejected, those that are so for longest are out, as far as there is room for their weights; the others take requests all the same.",
		},
		retry,
		mirror,
		{
			name: "response_header", kind: kindString, max: maxName, none: replacedHeader.none, match: headerName, derived: "off", http: true,
			doc: "The name of a response header that tells the client which backend was chosen. If the backend sends a header of this name too, it comes second.",
		},
		{
			name: "log_decision", kind: kindBoolean, def: false, http: true,
			doc: "Adds the decision to what Kong's log plugins write, as `traffic_split`.",
		},
		{
			name: "split", kind: kindString, max: maxSplit, none: splitName, derived: "the route's name",
			doc: "The name of the split in the server's split file, where there are no `backends` here. The other parameters are ignored then.",
		},
	}),
	hints: map[string]string{"config": "the keys of the plugin's config stand here without another config around them"},
	checks: append([]check{
		{mutuallyExclusive: []string{"backends", "split"}},
		{
			ifField: "on_unavailable", ifEquals: "fallback", thenField: "fallback",
			message: `is required where on_unavailable is "fallback": the name of a backend`,
		},
	}, hashChecks()...),
	also: finishConfig,
}

// entry is what a split file says of one split: the table without what only
// makes sense in a row of Kong.
var entry = func() field {
	f := row
	f.doc = "One split. Its keys are those of the plugin's config."
	f.fields = slices.DeleteFunc(slices.Clone(row.fields), func(p field) bool { return p.name == "split" })
	f.field("backends").required = true
	f.inherits = true
	f.hints = map[string]string{
		"split":  "the name of a split is its key under splits",
		"config": "the keys of a plugin's config stand here without it",
	}
	f.checks = slices.DeleteFunc(slices.Clone(row.checks), func(c check) bool { return c.mutuallyExclusive != nil })
	return f
}()

// splitFile is a file of splits.
var splitFile = field{
	kind: kindRecord, example: `{splits: {shop: {backends: [{host: a.example.com}]}}}`,
	doc: "Splits for the plugin's server to read.",
	fields: []field{
		{
			name: "splits", kind: kindMap, example: `{shop: {backends: [{host: a.example.com}]}}`, required: true, values: &entry,
			keys: &field{kind: kindString, max: maxSplit, none: splitName, doc: "The name of a split: that of a Kong route, or what the plugin's `split` says."},
			doc:  "The splits, each under its name: that of the Kong route, or what the plugin's `split` says.",
		},
		{
			name: "defaults", kind: kindRecord, example: `{on_unavailable: redistribute}`,
			doc:    "Defaults for the splits of this file.",
			fields: slices.DeleteFunc(slices.Clone(entry.fields), func(p field) bool { return p.name == "backends" }),
			hints:  map[string]string{"backends": "each split has its own"},
		},
	},
}
