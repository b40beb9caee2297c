package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Reference returns a description of every parameter, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceTop)
	b.WriteString("| parameter | value | default | meaning |\n|---|---|---|---|\n")
	row.walk("", func(path string, f *field) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", path, cell(f.valueInWords()), cell(f.defaultInWords()), cell(f.doc))
	})
	b.WriteString("\nBesides:\n\n")
	row.walkChecks("", func(path string, c *check) {
		if words := c.inWords(); words != "" && path == "" {
			fmt.Fprintf(&b, "- There is %s.\n", words)
		} else if words != "" {
			fmt.Fprintf(&b, "- In `%s` there is %s.\n", path, words)
		}
	})
	fmt.Fprintf(&b, referenceRest, strings.Join(row.overHTTP("", nil), ", "))
	return b.String()
}

const referenceTop = "<!-- Made from plugin/config/table*.go by go generate. Change it there. -->\n\n" + `# Parameters

The keys of the plugin's ` + "`config`" + ` in Kong. An entry of a split file has the same ones, except ` + "`split`" + `. A parameter without a default may be left out.

`

const referenceRest = `- The names of the backends, given or not, are unique. A parameter that names a backend has to name one of them; ` + "`fallback`" + ` only where it is used.
- ` + "`hash_on`" + ` needs a backend with a weight above 0, ` + "`ramp`" + ` one apart from its own, a rule's ` + "`weights`" + ` one too.
- ` + "`hash_fallback`" + ` needs ` + "`hash_on`" + `, and has to differ from it: not ` + "`consumer`, `ip` or `path`" + ` twice, nor the same name twice. A cookie that is hashed must not be the ` + "`session`" + `'s.
- A header that is set must not be removed as well, nor be set a second time in other letters.

Kong refuses most mistakes itself, when a config is posted or loaded. What its schema cannot express, the plugin finds at a request. It keeps the [last good config](operate.md#a-config-that-is-wrong), or answers with status 500 where there is none, and writes the reason to Kong's error log.

On routes with the protocols ` + "`tcp`, `tls` and `tls_passthrough`" + `, Kong does not look into the connection. These are refused there: %s.

## Split files

A split file is YAML. Under ` + "`splits`" + ` it has one entry for each split, by the name of the Kong route or by what the plugin's ` + "`split`" + ` says. ` + "`defaults`" + ` has defaults for the entries of the same file: any key but ` + "`backends`" + `.

` + "```yaml" + `
# yaml-language-server: $schema=traffic-split.schema.json
defaults:
  on_unavailable: redistribute

splits:
  shop:
    backends:
      - {name: stable, service: true, weight: 90}
      - {name: canary, host: shop-v2.internal, weight: 10}
    rules:
      - match: {headers: {X-Tester: ["1"]}}
        backend: canary
    session:
      secret: put 16 or more random characters here
  search:
    response_header: X-Backend
    hash_on: header
    hash_on_header: X-User
    backends:
      - {name: blue, upstream: search-blue, weight: 1}
      - {name: green, upstream: search-green, weight: 0}
    ramp: {backend: green, to: 50, start: 2026-12-01T08:00:00Z, duration: 86400}
` + "```" + `

` + "`traffic-split.schema.json`" + `, beside this page, tells editors what may stand where. A file is YAML 1.2 with plain values only: a number is decimal, a boolean is ` + "`true`" + ` or ` + "`false`" + `, a key without a value is refused, and so are merge keys (` + "`<<`" + `), tags and a second document. Anchors and aliases work.
`

// walk calls visit with each parameter in a record. Those of nested records come after
// the one they are in.
func (f *field) walk(path string, visit func(path string, f *field)) {
	for i := range f.fields {
		p := &f.fields[i]
		at := Join(path, p.name)
		visit(at, p)
		switch {
		case p.kind == kindRecord:
			p.walk(at, visit)
		case p.kind == kindArray && p.elements.kind == kindRecord:
			p.elements.walk(at+"[]", visit)
		}
	}
}

// walkChecks calls visit with each check and the path of its record.
func (f *field) walkChecks(path string, visit func(path string, c *check)) {
	for i := range f.checks {
		visit(path, &f.checks[i])
	}
	f.walk(path, func(at string, p *field) {
		record := p
		if p.kind == kindArray {
			at, record = at+"[]", p.elements
		}
		for i := range record.checks {
			visit(at, &record.checks[i])
		}
	})
}

// overHTTP adds the parameters of a record that need HTTP to found.
func (f *field) overHTTP(path string, found []string) []string {
	for i := range f.fields {
		p := &f.fields[i]
		at := Join(path, p.name)
		switch {
		case p.http && p.notHTTP != nil:
			found = append(found, "`"+at+"` other than `"+strings.Join(p.notHTTP, "` and `")+"`")
		case p.http:
			found = append(found, "`"+at+"`")
		case p.kind == kindRecord:
			found = p.overHTTP(at, found)
		case p.kind == kindArray && p.elements.kind == kindRecord:
			found = p.elements.overHTTP(at+"[]", found)
		}
	}
	return found
}

// valueInWords returns what a value may be.
func (f *field) valueInWords() string {
	switch {
	case f.onlyTrue:
		return "`true`"
	case f.oneOf != nil:
		return "`" + strings.Join(f.oneOf, "`, `") + "`"
	case f.numbers != nil:
		return "`" + f.numbersInWords("`, `") + "`"
	case f.kind == kindInteger:
		return fmt.Sprintf("integer, %d..%d", f.min, f.max)
	case f.kind == kindNumber:
		return fmt.Sprintf("number, %s, %d decimals", f.between(), f.decimals)
	case f.kind == kindString && f.min > 0:
		return fmt.Sprintf("string, %d characters or more", f.min)
	case f.kind == kindArray && f.max > 0:
		return fmt.Sprintf("array of %ss, %d..%d", f.elements.kind, f.min, f.max)
	case f.kind == kindArray:
		return fmt.Sprintf("array of %ss", f.elements.kind)
	case f.kind == kindMap && f.values.kind == kindArray:
		return fmt.Sprintf("map of arrays of %ss", f.values.elements.kind)
	case f.kind == kindMap:
		return fmt.Sprintf("map of %ss", f.values.kind)
	}
	return string(f.kind)
}

func (f *field) defaultInWords() string {
	switch {
	case f.required:
		return "required"
	case f.def == nil:
		return f.derived
	}
	text, err := json.Marshal(f.def)
	if err != nil {
		panic(err) // the table holds nothing that JSON does not
	}
	return "`" + strings.Trim(string(text), `"`) + "`"
}

// inWords returns a check in words; empty if the description of a field says it.
func (c *check) inWords() string {
	switch {
	case c.message != "":
		return ""
	case c.onlyOneOf != nil:
		last := len(c.onlyOneOf) - 1
		return "exactly one of `" + strings.Join(c.onlyOneOf[:last], "`, `") + "` and `" + c.onlyOneOf[last] + "`"
	case c.atLeastOneOf != nil:
		return "at least one of `" + strings.Join(c.atLeastOneOf, "`, `") + "`"
	case c.mutuallyExclusive != nil:
		return "at most one of `" + strings.Join(c.mutuallyExclusive, "`, `") + "`"
	}
	return ""
}

// cell escapes a text for a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
