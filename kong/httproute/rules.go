package httproute

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// The rules of the CRDs in CEL, by their messages. A test compares them with schema.json.

// ruleFunc reports a rule that a value breaks.
type ruleFunc func(d *document, n *yaml.Node, at *trail, message string)

// ruleOf returns the rule of a message, or nil.
func ruleOf(message string) ruleFunc {
	if rule, ok := rules[message]; ok {
		return rule
	}
	for _, f := range families {
		if m := f.message.FindStringSubmatch(message); m != nil {
			return func(d *document, n *yaml.Node, at *trail, message string) {
				if !f.holds(n, m) {
					d.refuse(at.fields(f.at(m)...), "%s", message)
				}
			}
		}
	}
	return nil
}

// family is a rule that is there for many fields; m is what its expression finds in the
// message.
type family struct {
	message *regexp.Regexp
	holds   func(n *yaml.Node, m []string) bool
	at      func(m []string) []string // the field to show
}

func nowhere([]string) []string  { return nil }
func field1(m []string) []string { return m[1:2] }
func valueField([]string) []string {
	return []string{"value"}
}

// isPlainPath reports whether a match of a path is no regular expression.
func isPlainPath(n *yaml.Node) bool { return text(n, "type") != "RegularExpression" }

var families = []family{
	{
		message: regexp.MustCompile(`^filter\.(\w+) must be nil if the filter\.type is not (\w+)$`),
		holds:   func(n *yaml.Node, m []string) bool { return get(n, m[1]) == nil || text(n, "type") == m[2] },
		at:      field1,
	},
	{
		message: regexp.MustCompile(`^filter\.(\w+) must be specified for (\w+) filter\.type$`),
		holds:   func(n *yaml.Node, m []string) bool { return get(n, m[1]) != nil || text(n, "type") != m[2] },
		at:      field1,
	},
	{
		message: regexp.MustCompile(`^(\w+) filter cannot be repeated$`),
		holds:   func(n *yaml.Node, m []string) bool { return countType(n, m[1]) <= 1 },
		at:      nowhere,
	},
	{
		message: regexp.MustCompile(`^(\w+) must be specified when (type|protocol) is set to '(\w+)'$`),
		holds:   func(n *yaml.Node, m []string) bool { return text(n, m[2]) != m[3] || get(n, m[1]) != nil },
		at:      field1,
	},
	{
		message: regexp.MustCompile(`^(type|protocol) must be '(\w+)' when (\w+) is set$`),
		holds:   func(n *yaml.Node, m []string) bool { return get(n, m[3]) == nil || text(n, m[1]) == m[2] },
		at:      func(m []string) []string { return m[3:4] },
	},
	{
		message: regexp.MustCompile(`^must not contain '(.+)' when type one of \['Exact', 'PathPrefix'\]$`),
		holds: func(n *yaml.Node, m []string) bool {
			return !isPlainPath(n) || !strings.Contains(text(n, "value"), m[1])
		},
		at: valueField,
	},
	{
		message: regexp.MustCompile(`^must not end with '(.+)' when type one of \['Exact', 'PathPrefix'\]$`),
		holds: func(n *yaml.Node, m []string) bool {
			return !isPlainPath(n) || !strings.HasSuffix(text(n, "value"), m[1])
		},
		at: valueField,
	},
	{
		message: regexp.MustCompile(`^Allow\w+ cannot contain '\*' alongside other \w+$`),
		holds: func(n *yaml.Node, _ []string) bool {
			return len(n.Content) < 2 || !slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return item.Value == "*" })
		},
		at: nowhere,
	},
	{
		message: regexp.MustCompile(`^(?:While 16 rules|AbsoluteTimeout must|value must be an absolute path|must only contain valid characters|type must be one of|cookieConfig can only)`),
		holds:   func(n *yaml.Node, m []string) bool { return simple[m[0]](n) },
		at:      func(m []string) []string { return simpleAt[m[0]] },
	},
	{
		message: regexp.MustCompile(`^(IPAddress|Hostname) values must be unique$`),
		holds: func(n *yaml.Node, m []string) bool {
			return unique(n.Content, func(a *yaml.Node) string {
				if text(a, "type") != m[1] {
					return ""
				}
				return text(a, "value")
			}) < 0
		},
		at: nowhere,
	},
	{
		message: regexp.MustCompile(`^(Annotation|Label) keys must be in the form`),
		holds: func(n *yaml.Node, _ []string) bool {
			return allKeys(n, metadataKey.MatchString)
		},
		at: nowhere,
	},
	{
		message: regexp.MustCompile(`^If specified, the (annotation|label) key's prefix`),
		holds: func(n *yaml.Node, _ []string) bool {
			return allKeys(n, func(key string) bool { prefix, _, _ := strings.Cut(key, "/"); return len(prefix) < 253 })
		},
		at: nowhere,
	},
}

var (
	plainPath    = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`)
	metadataKey  = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$`)
	hostnameText = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	grpcService  = regexp.MustCompile(`^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$`)
	grpcMethod   = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*$`)
)

// simple are rules of one value, by the beginnings of their messages.
var simple = map[string]func(*yaml.Node) bool{
	"While 16 rules": func(n *yaml.Node) bool {
		count := 0
		for _, rule := range n.Content {
			count += len(items(rule, "matches"))
		}
		return count <= 128
	},
	"AbsoluteTimeout must": func(n *yaml.Node) bool {
		return text(n, "cookieConfig", "lifetimeType") != "Permanent" || get(n, "absoluteTimeout") != nil
	},
	"cookieConfig can only": func(n *yaml.Node) bool {
		return get(n, "cookieConfig") == nil || text(n, "type") == "Cookie"
	},
	"value must be an absolute path": func(n *yaml.Node) bool {
		return !isPlainPath(n) || strings.HasPrefix(text(n, "value"), "/")
	},
	"must only contain valid characters": func(n *yaml.Node) bool {
		return !isPlainPath(n) || plainPath.MatchString(text(n, "value"))
	},
	"type must be one of": func(n *yaml.Node) bool {
		return slices.Contains([]string{"Exact", "PathPrefix", "RegularExpression"}, text(n, "type"))
	},
}

var simpleAt = map[string][]string{
	"AbsoluteTimeout must":               {"absoluteTimeout"},
	"cookieConfig can only":              {"cookieConfig"},
	"value must be an absolute path":     {"value"},
	"must only contain valid characters": {"value"},
	"type must be one of":                {"type"},
}

// rules are those that do not fit a family.
var rules = map[string]ruleFunc{
	"sectionName or port must be specified when parentRefs includes 2 or more references to the same parent": func(d *document, n *yaml.Node, at *trail, message string) {
		first := map[string]*yaml.Node{}
		for i, ref := range n.Content {
			other, twice := first[parentOf(ref)]
			if !twice {
				first[parentOf(ref)] = ref
				continue
			}
			for _, name := range []string{"sectionName", "port"} {
				if isSet(ref, name) != isSet(other, name) {
					d.refuse(at.item(i), "%s", message)
					return
				}
			}
		}
	},
	"sectionName or port must be unique when parentRefs includes 2 or more references to the same parent": func(d *document, n *yaml.Node, at *trail, message string) {
		refuseTwice(d, n, at, message, func(ref *yaml.Node) string {
			return parentOf(ref) + "\x00" + text(ref, "sectionName") + "\x00" + strings.TrimPrefix(text(ref, "port"), "0")
		})
	},
	"Rule name must be unique within the route": func(d *document, n *yaml.Node, at *trail, message string) {
		refuseTwice(d, n, at, message, func(rule *yaml.Node) string { return text(rule, "name") })
	},
	"Listener name must be unique within the Gateway": func(d *document, n *yaml.Node, at *trail, message string) {
		refuseTwice(d, n, at, message, func(l *yaml.Node) string { return text(l, "name") })
	},
	"Port for TLS configuration must be unique within the Gateway": func(d *document, n *yaml.Node, at *trail, message string) {
		refuseTwice(d, n, at, message, func(l *yaml.Node) string { return text(l, "port") })
	},
	"Combination of port, protocol and hostname must be unique for each listener": func(d *document, n *yaml.Node, at *trail, message string) {
		refuseTwice(d, n, at, message, func(l *yaml.Node) string {
			host := "without"
			if get(l, "hostname") != nil {
				host = "=" + text(l, "hostname")
			}
			return text(l, "port") + " " + text(l, "protocol") + " " + host
		})
	},
	"RequestRedirect filter must not be used together with backendRefs": func(d *document, n *yaml.Node, at *trail, message string) {
		if len(items(n, "backendRefs")) == 0 {
			return
		}
		for i, filter := range items(n, "filters") {
			if get(filter, "requestRedirect") != nil {
				d.refuse(at.field("filters").item(i).field("requestRedirect"), "%s", message)
			}
		}
	},
	"When using RequestRedirect filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified": func(d *document, n *yaml.Node, at *trail, message string) {
		prefixNeedsOneMatch(d, n, n, at, at, "requestRedirect", message)
	},
	"When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified": func(d *document, n *yaml.Node, at *trail, message string) {
		prefixNeedsOneMatch(d, n, n, at, at, "urlRewrite", message)
	},
	"Within backendRefs, when using RequestRedirect filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified": func(d *document, n *yaml.Node, at *trail, message string) {
		for i, ref := range items(n, "backendRefs") {
			prefixNeedsOneMatch(d, n, ref, at, at.field("backendRefs").item(i), "requestRedirect", message)
		}
	},
	"Within backendRefs, When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified": func(d *document, n *yaml.Node, at *trail, message string) {
		for i, ref := range items(n, "backendRefs") {
			prefixNeedsOneMatch(d, n, ref, at, at.field("backendRefs").item(i), "urlRewrite", message)
		}
	},
	"Must have port for Service reference": func(d *document, n *yaml.Node, at *trail, message string) {
		if text(n, "group") == "" && text(n, "kind") == "Service" && get(n, "port") == nil {
			d.refuse(at.field("port"), "%s", message)
		}
	},
	"May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both": func(d *document, n *yaml.Node, at *trail, message string) {
		if countType(n, "RequestRedirect") > 0 && countType(n, "URLRewrite") > 0 {
			d.refuse(at, "%s", message)
		}
	},
	"Only one of percent or fraction may be specified in HTTPRequestMirrorFilter": func(d *document, n *yaml.Node, at *trail, message string) {
		if get(n, "percent") != nil && get(n, "fraction") != nil {
			d.refuse(at.field("fraction"), "%s", message)
		}
	},
	"numerator must be less than or equal to denominator": func(d *document, n *yaml.Node, at *trail, message string) {
		if number(n, "numerator") > number(n, "denominator") {
			d.refuse(at.field("numerator"), "%s", message)
		}
	},
	"backendRequest timeout cannot be longer than request timeout": func(d *document, n *yaml.Node, at *trail, message string) {
		request, err1 := time.ParseDuration(text(n, "request"))
		backend, err2 := time.ParseDuration(text(n, "backendRequest"))
		if err1 == nil && err2 == nil && request != 0 && backend > request {
			d.refuse(at.field("backendRequest"), "%s", message)
		}
	},
	"One or both of 'service' or 'method' must be specified": func(d *document, n *yaml.Node, at *trail, message string) {
		if get(n, "service") == nil && get(n, "method") == nil {
			d.refuse(at, "%s", message)
		}
	},
	`service must only contain valid characters (matching ^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$)`: func(d *document, n *yaml.Node, at *trail, message string) {
		if get(n, "service") != nil && text(n, "type") == "Exact" && !grpcService.MatchString(text(n, "service")) {
			d.refuse(at.field("service"), "%s", message)
		}
	},
	`method must only contain valid characters (matching ^[A-Za-z_][A-Za-z_0-9]*$)`: func(d *document, n *yaml.Node, at *trail, message string) {
		if get(n, "method") != nil && text(n, "type") == "Exact" && !grpcMethod.MatchString(text(n, "method")) {
			d.refuse(at.field("method"), "%s", message)
		}
	},
	`Hostname value must be empty or contain only valid characters (matching ^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$)`: func(d *document, n *yaml.Node, at *trail, message string) {
		if text(n, "type") == "Hostname" && get(n, "value") != nil && !hostnameText.MatchString(text(n, "value")) {
			d.refuse(at.field("value"), "%s", message)
		}
	},
	"tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']": func(d *document, n *yaml.Node, at *trail, message string) {
		for i, l := range n.Content {
			if slices.Contains([]string{"HTTP", "TCP", "UDP"}, text(l, "protocol")) && get(l, "tls") != nil {
				d.refuse(at.item(i).field("tls"), "%s", message)
			}
		}
	},
	"tls mode must be Terminate for protocol HTTPS": func(d *document, n *yaml.Node, at *trail, message string) {
		for i, l := range n.Content {
			if mode := text(l, "tls", "mode"); text(l, "protocol") == "HTTPS" && get(l, "tls") != nil && mode != "" && mode != "Terminate" {
				d.refuse(at.item(i).fields("tls", "mode"), "%s", message)
			}
		}
	},
	"tls mode must be set for protocol TLS": func(d *document, n *yaml.Node, at *trail, message string) {
		for i, l := range n.Content {
			if text(l, "protocol") == "TLS" && text(l, "tls", "mode") == "" {
				d.refuse(at.item(i).fields("tls", "mode"), "%s", message)
			}
		}
	},
	"hostname must not be specified for protocols ['TCP', 'UDP']": func(d *document, n *yaml.Node, at *trail, message string) {
		for i, l := range n.Content {
			if slices.Contains([]string{"TCP", "UDP"}, text(l, "protocol")) && text(l, "hostname") != "" {
				d.refuse(at.item(i).field("hostname"), "%s", message)
			}
		}
	},
	"certificateRefs or options must be specified when mode is Terminate": func(d *document, n *yaml.Node, at *trail, message string) {
		options := get(n, "options")
		if text(n, "mode") == "Terminate" && len(items(n, "certificateRefs")) == 0 && (options == nil || len(options.Content) == 0) {
			d.refuse(at, "%s", message)
		}
	},
}

func isSet(n *yaml.Node, name string) bool { v := text(n, name); return v != "" && v != "0" }

func number(n *yaml.Node, name string) (i int64) {
	if n = get(n, name); n != nil && n.Decode(&i) != nil {
		return 0
	}
	return i
}

// parentOf identifies the parent of a parentRef.
func parentOf(ref *yaml.Node) string {
	return strings.Join([]string{text(ref, "group"), text(ref, "kind"), text(ref, "namespace"), text(ref, "name")}, "\x00")
}

func countType(n *yaml.Node, kind string) (count int) {
	for _, filter := range n.Content {
		if text(filter, "type") == kind {
			count++
		}
	}
	return count
}

// unique returns the index of the first item whose key is that of one before it, or -1.
// Items with an empty key do not count.
func unique(all []*yaml.Node, key func(*yaml.Node) string) int {
	seen := map[string]bool{}
	for i, item := range all {
		if k := key(item); k != "" {
			if seen[k] {
				return i
			}
			seen[k] = true
		}
	}
	return -1
}

func refuseTwice(d *document, n *yaml.Node, at *trail, message string, key func(*yaml.Node) string) {
	if i := unique(n.Content, key); i >= 0 {
		d.refuse(at.item(i), "%s", message)
	}
}

func allKeys(n *yaml.Node, ok func(string) bool) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !ok(n.Content[i].Value) {
			return false
		}
	}
	return true
}

// prefixNeedsOneMatch refuses the filters of a rule, or of one of its backendRefs, that
// replace a prefix where the rule does not match by exactly one.
func prefixNeedsOneMatch(d *document, rule, owner *yaml.Node, ruleAt, at *trail, kind, message string) {
	matches := items(rule, "matches")
	if len(matches) == 1 && text(matches[0], "path", "type") == "PathPrefix" {
		return
	}
	for i, filter := range items(owner, "filters") {
		if text(filter, kind, "path", "type") == "ReplacePrefixMatch" {
			d.refuseAt(at.field("filters").item(i).fields(kind, "path"), ruleAt, message)
		}
	}
}
