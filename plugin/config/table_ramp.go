package config

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
			name: "to", kind: kindNumber, unit: unitPercent, def: 100.0, low: 0, high: 100, decimals: 2,
			doc: "The share at the end, and from then on, in percent.",
		},
		{
			name: "start", kind: kindString, required: true, max: 64, match: timestamp, valid: validTime,
			doc: "When it begins, as in RFC 3339: 2026-01-31T18:00:00Z, or with an offset.",
		},
		{
			name: "duration", kind: kindNumber, unit: unitSeconds, required: true, low: 0.001, high: 31_536_000, decimals: 3,
			doc: "Seconds from `start` to the end, a year at most.",
		},
		{
			name: "steps", kind: kindInteger, unit: unitCount, def: 0, min: 0, max: 10_000,
			doc: "In how many equal steps the share changes. 0: continuously.",
		},
		{
			name: "guard", kind: kindRecord, example: `{max_error_ratio: 0.05}`, http: true, outcomes: true,
			doc: "Rolls the ramp back when too many requests to the backend fail and another backend can take its share. It stays rolled back until the ramp itself changes. Only for a share that grows. The plugin server has to be started with `-outcomes`.",
			fields: []field{
				{
					name: "rollback_to", kind: kindNumber, unit: unitPercent, def: 0.0, low: 0, high: 100, decimals: 2,
					doc: "The share after a rollback, in percent. A share that was smaller stays as it was.",
				},
				{
					name: "max_error_ratio", kind: kindNumber, unit: unitRatio, required: true, low: 0.0001, high: 0.9999, decimals: 4,
					doc: "The part of the requests that may fail: 0.05 is one of twenty.",
				},
				{
					name: "min_requests", kind: kindInteger, unit: unitCount, def: 20, min: 1, max: 1_000_000,
					doc: "How many requests there have to be in the window before they are judged.",
				},
				{
					name: "window", kind: kindNumber, unit: unitSeconds, def: 60.0, low: 1, high: 86_400, decimals: 3,
					doc: "Requests are counted over the last so many seconds.",
				},
			},
		},
	},
}
