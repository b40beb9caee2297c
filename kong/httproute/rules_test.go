package httproute

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// smallest are the smallest values of the fields of a filter.
var smallest = map[string]string{
	"cors": "{}", "requestHeaderModifier": "{}", "responseHeaderModifier": "{}", "requestRedirect": "{}", "urlRewrite": "{}",
	"requestMirror": "{backendRef: {name: a, port: 80}}", "extensionRef": `{group: "", kind: K, name: x}`,
	"externalAuth": "{protocol: HTTP, http: {}, backendRef: {name: a, port: 80}}",
}

// fieldOf is the field of a filter of that type.
func fieldOf(kind string) string {
	switch kind {
	case "CORS":
		return "cors"
	case "URLRewrite":
		return "urlRewrite"
	}
	return strings.ToLower(kind[:1]) + kind[1:]
}

// breaks are specs that break one rule each, by kind and the beginning of its message; a
// word in capitals is a part of the message.
var breaks = map[string]map[string]string{
	"HTTPRoute": {
		"sectionName or port must be specified":                          "parentRefs: [{name: a}, {name: a, port: 80}]",
		"sectionName or port must be unique":                             "parentRefs: [{name: a, port: 80}, {name: a, port: 80}]",
		"While 16 rules":                                                 "rules: [" + strings.Repeat("{matches: ["+strings.TrimSuffix(strings.Repeat("{}, ", 44), ", ")+"]}, ", 3) + "]",
		"Rule name must be unique":                                       "rules: [{name: x}, {name: x}]",
		"RequestRedirect filter must not be used together":               "rules: [{backendRefs: [{name: a, port: 80}], filters: [{type: RequestRedirect, requestRedirect: {}}]}]",
		"When using RequestRedirect filter with path.replacePrefixMatch": "rules: [{matches: [{path: {type: Exact, value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]",
		"When using URLRewrite filter with path.replacePrefixMatch":      "rules: [{matches: [{}, {}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]",
		"Within backendRefs, when using RequestRedirect":                 "rules: [{matches: [{}, {}], backendRefs: [{name: a, port: 80, filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]}]",
		"Within backendRefs, When using URLRewrite":                      "rules: [{matches: [{}, {}], backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]}]",
		"Must have port for Service reference":                           "rules: [{backendRefs: [{name: a}]}]",
		"May specify either httpRouteFilterRequestRedirect":              "rules: [{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}]",
		"AllowHeaders cannot contain":                                    `rules: [{filters: [{type: CORS, cors: {allowHeaders: ["*", X-A]}}]}]`,
		"AllowMethods cannot contain":                                    `rules: [{filters: [{type: CORS, cors: {allowMethods: ["*", GET]}}]}]`,
		"AllowOrigins cannot contain":                                    `rules: [{filters: [{type: CORS, cors: {allowOrigins: ["*", "https://a.example"]}}]}]`,
		"grpc must be specified when protocol":                           "rules: [{filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: a, port: 80}}}]}]",
		"protocol must be 'GRPC' when grpc":                              "rules: [{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, grpc: {}, backendRef: {name: a, port: 80}}}]}]",
		"http must be specified when protocol":                           "rules: [{filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 80}}}]}]",
		"protocol must be 'HTTP' when http":                              "rules: [{filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, http: {}, grpc: {}, backendRef: {name: a, port: 80}}}]}]",
		"Only one of percent or fraction":                                "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, percent: 1, fraction: {numerator: 1}}}]}]",
		"numerator must be less than":                                    "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, fraction: {numerator: 101}}}]}]",
		"replaceFullPath must be specified":                              "rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}]}]",
		"type must be 'ReplaceFullPath'":                                 "rules: [{matches: [{}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /a, replaceFullPath: /b}}}]}]",
		"replacePrefixMatch must be specified":                           "rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch}}}]}]",
		"type must be 'ReplacePrefixMatch'":                              "rules: [{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /a, replaceFullPath: /b}}}]}]",
		"value must be an absolute path":                                 "rules: [{matches: [{path: {value: a}}]}]",
		"must not contain '//'":                                          "rules: [{matches: [{path: {value: //a}}]}]",
		"must not contain '/./'":                                         "rules: [{matches: [{path: {value: /a/./b}}]}]",
		"must not contain '/../'":                                        "rules: [{matches: [{path: {value: /a/../b}}]}]",
		"must not contain '%2f'":                                         "rules: [{matches: [{path: {value: /a%2fb}}]}]",
		"must not contain '%2F'":                                         "rules: [{matches: [{path: {value: /a%2Fb}}]}]",
		"must not contain '#'":                                           `rules: [{matches: [{path: {value: "/a#b"}}]}]`,
		"must not end with '/..'":                                        "rules: [{matches: [{path: {value: /a/..}}]}]",
		"must not end with '/.'":                                         "rules: [{matches: [{path: {value: /a/.}}]}]",
		"type must be one of":                                            "",
		"must only contain valid characters":                             `rules: [{matches: [{path: {value: "/a b"}}]}]`,
		"AbsoluteTimeout must be specified":                              "rules: [{sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}}]",
		"cookieConfig can only be set":                                   "rules: [{sessionPersistence: {type: Header, cookieConfig: {}}}]",
		"backendRequest timeout cannot be longer":                        "rules: [{timeouts: {request: 1s, backendRequest: 2s}}]",
	},
	"GRPCRoute": {
		"sectionName or port must be specified": "parentRefs: [{name: a}, {name: a, sectionName: b}]",
		"sectionName or port must be unique":    "parentRefs: [{name: a}, {name: a}]",
		"While 16 rules":                        "rules: [" + strings.Repeat("{matches: ["+strings.TrimSuffix(strings.Repeat("{}, ", 44), ", ")+"]}, ", 3) + "]",
		"Rule name must be unique":              "rules: [{name: x}, {name: x}]",
		"Must have port for Service reference":  "rules: [{backendRefs: [{name: a}]}]",
		"Only one of percent or fraction":       "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, percent: 1, fraction: {numerator: 1}}}]}]",
		"numerator must be less than":           "rules: [{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}, fraction: {numerator: 101}}}]}]",
		"One or both of":                        "rules: [{matches: [{method: {}}]}]",
		"service must only contain":             `rules: [{matches: [{method: {service: "a/b"}}]}]`,
		"method must only contain":              `rules: [{matches: [{method: {service: a, method: "b.c"}}]}]`,
		"AbsoluteTimeout must be specified":     "rules: [{sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}}]",
		"cookieConfig can only be set":          "rules: [{sessionPersistence: {type: Header, cookieConfig: {}}}]",
	},
	"Gateway": {
		"IPAddress values must be unique":              "addresses: [{value: 10.0.0.1}, {value: 10.0.0.1}]",
		"Hostname values must be unique":               "addresses: [{type: Hostname, value: a.example}, {type: Hostname, value: a.example}]",
		"Hostname value must be empty":                 "addresses: [{type: Hostname, value: A.example}]",
		"Annotation keys must be in the form":          `infrastructure: {annotations: {"a b": c}}`,
		"If specified, the annotation key's prefix":    `infrastructure: {annotations: {` + strings.Repeat("a.", 130) + `example/b: c}}`,
		"Label keys must be in the form":               `infrastructure: {labels: {"a b": c}}`,
		"If specified, the label key's prefix":         `infrastructure: {labels: {` + strings.Repeat("a.", 130) + `example/b: c}}`,
		"tls must not be specified":                    "listeners: [{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: c}]}}]",
		"tls mode must be Terminate":                   "listeners: [{name: a, port: 80, protocol: HTTPS, tls: {mode: Passthrough}}]",
		"tls mode must be set":                         "listeners: [{name: a, port: 80, protocol: TLS}]",
		"hostname must not be specified":               "listeners: [{name: a, port: 80, protocol: TCP, hostname: a.example}]",
		"Listener name must be unique":                 "",
		"Combination of port, protocol and hostname":   "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]",
		"certificateRefs or options must be specified": "listeners: [{name: a, port: 443, protocol: HTTPS, tls: {}}]",
		"Port for TLS configuration must be unique":    "",
	},
}

// TestRules: each rule of the CRDs refuses a spec that breaks it, and says so in its words.
func TestRules(t *testing.T) {
	for kind, s := range schemas() { // core.json has no rules
		messages := map[string]bool{}
		collect(s, messages)
		for message := range messages {
			spec, known := specThatBreaks(kind, message)
			if !known {
				t.Errorf("%s: no spec breaks the rule: %s", kind, message)
			}
			if spec == "" { // the schema itself refuses what would break it
				continue
			}
			if !strings.Contains(spec, "listeners:") && kind == "Gateway" {
				spec += "\nlisteners: [{name: a, port: 80, protocol: HTTP}]"
			}
			if kind == "Gateway" {
				spec += "\ngatewayClassName: kong"
			}
			text := fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: %s\nmetadata: {name: x}\nspec:\n  %s\n", kind, strings.ReplaceAll(spec, "\n", "\n  "))
			_, problems := Convert([]Source{{"x.yaml", []byte(text)}}, Options{})
			said := false
			for _, p := range problems {
				said = said || p.Message == message && !p.Warning
			}
			if !said {
				t.Errorf("%s\nis to be refused by the rule\n%s\nbut got %v", text, message, problems)
			}
		}
	}
}

func collect(s *schema, messages map[string]bool) {
	if s == nil {
		return
	}
	for _, v := range s.Validations {
		messages[v.Message] = true
	}
	collect(s.Items, messages)
	collect(s.AdditionalProperties, messages)
	for _, property := range s.Properties {
		collect(property, messages)
	}
}

var (
	mustBeNil   = regexp.MustCompile(`^filter\.(\w+) must be nil if the filter\.type is not (\w+)$`)
	mustBeThere = regexp.MustCompile(`^filter\.\w+ must be specified for (\w+) filter\.type$`)
	notTwice    = regexp.MustCompile(`^(\w+) filter cannot be repeated$`)
)

func specThatBreaks(kind, message string) (string, bool) {
	filters := func(all ...string) (string, bool) {
		return "rules: [{filters: [" + strings.Join(all, ", ") + "]}]", true
	}
	filter := func(kind, field string) string {
		return fmt.Sprintf("{type: %s, %s: %s}", kind, field, smallest[field])
	}
	if m := mustBeNil.FindStringSubmatch(message); m != nil {
		other := "RequestHeaderModifier"
		if m[1] == fieldOf(other) {
			other = "ResponseHeaderModifier"
		}
		return filters(fmt.Sprintf("{type: %s, %s: {}, %s: %s}", other, fieldOf(other), m[1], smallest[m[1]]))
	}
	if m := mustBeThere.FindStringSubmatch(message); m != nil {
		return filters("{type: " + m[1] + "}")
	}
	if m := notTwice.FindStringSubmatch(message); m != nil {
		return filters(filter(m[1], fieldOf(m[1])), filter(m[1], fieldOf(m[1])))
	}
	for beginning, spec := range breaks[kind] {
		if strings.HasPrefix(message, beginning) {
			return spec, true
		}
	}
	return "", false
}
