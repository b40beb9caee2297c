package config

// minSecret is how many characters a secret has at least.
const minSecret = 16

var session = field{
	name: "session", kind: kindRecord, example: `{secret: 16 characters or more}`, http: true, secret: true,
	doc: "Pins a client to the backend that hash or weight chose for it first, by a signed cookie.",
	fields: []field{
		{
			name: "cookie", kind: kindString, max: maxName, match: cookieName, derived: "`traffic_split_` and 8 hexadecimal digits that are the split's own",
			doc: "The name of the cookie. Splits on one host need different ones. One that begins with `__Secure-` or `__Host-` is for https only, and `__Host-` for all paths of one host.",
		},
		{
			name: "max_age", kind: kindInteger, unit: unitSeconds, def: 0, min: 0, max: 34_560_000,
			doc: "Seconds that a client stays pinned, 400 days at most, as browsers have it. 0: until the browser closes.",
		},
		{
			name: "renew", kind: kindBoolean, def: false,
			doc: "A session lasts while it is used: a client that comes when more than half of `max_age` has passed is given the cookie anew. Not at a backend that takes no new clients, such as one of weight 0: sessions there end after `max_age`.",
		},
		{
			name: "path", kind: kindString, def: "/", max: maxPath, none: cookiePathNot, match: uriPath[:1],
			doc: "The path below which clients send the cookie.",
		},
		{
			name: "domain", kind: kindString, max: 253, none: cookieDomainNot, match: cookieDomain, derived: "the host that the client asked",
			doc: "The domain to whose hosts clients send the cookie.",
		},
		{
			name: "secure", kind: kindString, def: "auto", oneOf: []string{"auto", "always", "never"},
			doc: "Whether clients send the cookie by https only. `auto`: if they came by https, or if browsers would drop the cookie otherwise (`same_site: None`, `partitioned`, or a name that begins with `__Secure-` or `__Host-`). `never` is refused where browsers would drop it.",
		},
		{
			name: "http_only", kind: kindBoolean, def: true,
			doc: "Hides the cookie from scripts on the page.",
		},
		{
			name: "same_site", kind: kindString, def: "Lax", oneOf: []string{"Lax", "Strict", "None"},
			doc: "Whether clients send the cookie when another site leads to this one.",
		},
		{
			name: "partitioned", kind: kindBoolean, onlyTrue: true, derived: "off",
			doc: "`true`: where another site embeds this one, a browser keeps a cookie of its own for each such site (CHIPS), also if it blocks third-party cookies. Together with `same_site: None`. The cookie is for https only.",
		},
		{
			name: "secret", kind: kindString, required: true, secret: true, min: minSecret, max: 1024, valid: validSecret,
			doc: "The key that signs the cookie, 16 characters at least. Whoever knows it can choose a backend. In Kong it may be a reference to a vault. The same on all nodes.",
		},
		{
			name: "previous_secret", kind: kindString, secret: true, min: minSecret, max: 1024, valid: validSecret,
			doc: "The former secret. Its cookies stay valid while the new one is brought in. In Kong it may be a reference to a vault.",
		},
		{
			name: "generation", kind: kindInteger, unit: unitCount, def: 0, min: 0, max: 1_000_000_000,
			doc: "A change ends all sessions: cookies of another generation are ignored.",
		},
	},
	checks: []check{
		{
			ifField: "renew", ifEquals: true, thenField: "max_age", thenPositive: true,
			message: "has to be above 0 where sessions are renewed: say how many seconds one lasts without a visit, or leave renew out",
		},
		{
			ifField: "same_site", ifEquals: "None", thenField: "secure", thenOneOf: []string{"auto", "always"},
			message: `must not be "never" where same_site is "None": browsers drop such a cookie`,
		},
		{
			ifField: "partitioned", thenField: "secure", thenOneOf: []string{"auto", "always"},
			message: `must not be "never" where the cookie is partitioned: browsers drop such a cookie`,
		},
		{
			ifField: "cookie", ifMatch: hostPrefix, thenField: "secure", thenOneOf: []string{"auto", "always"},
			message: `must not be "never" where the cookie's name begins with __Host-: browsers drop such a cookie`,
		},
		{
			ifField: "cookie", ifMatch: securePrefix, thenField: "secure", thenOneOf: []string{"auto", "always"},
			message: `must not be "never" where the cookie's name begins with __Secure-: browsers drop such a cookie`,
		},
		{
			ifField: "cookie", ifMatch: hostPrefix, thenField: "path", thenOneOf: []string{"/"},
			message: `must be "/" where the cookie's name begins with __Host-: browsers drop others`,
		},
		{
			ifField: "cookie", ifMatch: hostPrefix, thenField: "domain", thenAbsent: true,
			message: "does not go with a cookie whose name begins with __Host-, which is the host's alone: leave it out",
		},
		{
			distinct: []string{"secret", "previous_secret"},
			message:  "is the same as secret; leave it out, or give the one from before",
		},
	},
	hints: map[string]string{"name": "the cookie's name goes into cookie"},
}
