// Package check finds what is wrong with files before they go live: declarative files of
// Kong's, split files of the plugin server, manifests with routes of the Gateway API, and
// several of them together. It finds what
// Kong would refuse, what the plugin would refuse, by itself or on the route and the
// Service of a row, and the traps that both accept. The table in checks.go has them all.
package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/plugin/config"
)

// A Severity says how bad a finding is.
type Severity string

const (
	// Error: Kong or the plugin refuses it, or requests fail, or it never does what it says.
	Error Severity = "error"
	// Warning: it works, and is likely not what was meant.
	Warning Severity = "warning"
)

// A Finding is one thing that is wrong with a file.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`   // counted from 1; 0: it is the file as a whole
	Column   int      `json:"column"` // counted from 1, in characters; 0: likewise
	Path     string   `json:"path"`   // splits.shop.backends[1].weight; empty: the whole
	ID       string   `json:"id"`     // of the check
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // the value, what is wrong with it, and the way out
}

// String returns "file:line:column: path: message".
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	return b.String() + f.Message
}

// A Source is a file to check.
type Source struct {
	Name   string // as findings show it
	Folder string // the folder that was named, and not the file; empty: the file was
	Data   []byte
}

// Options say what is known beside the files.
type Options struct {
	NoOutcomes bool // the plugin server was started without -outcomes

	// Lookup returns the variables of the environment that decK's files ask for; nil: none
	// is set.
	Lookup func(string) (string, bool)
}

func (o *Options) lookup() func(string) (string, bool) {
	if o.Lookup == nil {
		return func(string) (string, bool) { return "", false }
	}
	return o.Lookup
}

// Files checks files of any kind, which it tells apart by their content. Rows without
// backends are compared with the split files among them. The findings are sorted by file,
// line and column.
func Files(sources []Source, o Options) []Finding {
	c := newChecker(o)
	for _, s := range sources {
		c.read(s)
	}
	c.refuse()
	c.readManifests()
	c.run()
	for _, k := range c.kongs {
		if k.origins != nil {
			c.toRules(k)
		}
		c.toParts(k)
	}
	return c.sorted()
}

// refuse reports what Kong or the plugin refuses of the files of Kong's, as far as these belong
// together.
func (c *checker) refuse() {
	c.join()
	for _, k := range c.kongs {
		c.findings = append(c.findings, k.refused(c.options)...)
	}
}

// checker is one run over some files.
type checker struct {
	options   Options
	kongs     []*Kong
	splits    []*splitFile
	manifests []httproute.Source
	findings  []Finding
	ignores   map[string]*ignores // by the file
	variables variables
}

func newChecker(o Options) *checker {
	c := &checker{options: o, variables: variables{}}
	c.options.Lookup = c.variables.recorded(o.lookup())
	return c
}

// report adds a finding.
func (c *checker) report(check *Check, file string, p config.Problem) {
	c.findings = append(c.findings, Finding{
		File: file, Line: p.Line, Column: p.Column, Path: p.Path, ID: check.ID, Severity: check.Severity, Message: p.Message,
	})
}

// sorted returns the findings that are not ignored, each once.
func (c *checker) sorted() []Finding {
	kept := slices.DeleteFunc(c.findings, func(f Finding) bool { return c.ignores[f.File].has(f) })
	for i := range kept {
		kept[i].Message = c.variables.hide(kept[i].Message)
	}
	slices.SortStableFunc(kept, func(a, b Finding) int {
		return cmp.Or(
			strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(kept)
}

// HasErrors reports whether a finding is more than a warning.
func HasErrors(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Severity == Error })
}

// Findings is an error that has them all.
type Findings []Finding

// Error returns a line for each, and the number of those after the first 100.
func (fs Findings) Error() string {
	const limit = 100
	var lines []string
	for _, f := range fs[:min(len(fs), limit)] {
		lines = append(lines, f.String())
	}
	if len(fs) > limit {
		lines = append(lines, fmt.Sprintf("and %d more problems", len(fs)-limit))
	}
	return strings.Join(lines, "\n")
}
