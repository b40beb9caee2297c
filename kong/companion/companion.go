// Package companion owns the functions that run in Kong beside the plugin, in a row of the
// bundled plugin post-function: by them, a request that fails on one backend is tried on
// another one, and the headers of a backend's answer are set and removed, which no external
// plugin can have Kong do. They are fixed texts with a
// version, so that each reader of Kong's configuration sees whether a row has them, and of
// which version.
//
// With the plugin they agree on what it leaves for them in kong.ctx.shared, and they for it:
// see the plugin's retry.go.
package companion

import (
	"cmp"
	_ "embed"
	"regexp"
	"slices"
)

// Plugin is Kong's plugin whose rows run the functions.
const Plugin = "post-function"

// Version is that of the functions.
const Version = "1"

//go:embed access.lua
var access string

//go:embed header_filter.lua
var headerFilter string

// A Function is one that Kong runs in a phase.
type Function struct{ Phase, Text string }

// Functions returns what a row has to have, in the order of Kong's phases.
func Functions() []Function {
	return []Function{{"access", access}, {"header_filter", headerFilter}}
}

var written = regexp.MustCompile(`^\s*-- traffic-split companion (\S+):`)

// A State is what a row has of the companion.
type State struct {
	Version string   // that of the functions; empty: it has none
	Lacks   []string // phases whose function is another one, or not there
}

// Of returns what a row of post-function has of the companion, by the functions of its phases:
// of each the one that is written here, and no other beside it.
func Of(phases map[string][]string) (s State) {
	for _, f := range Functions() {
		if own := slices.DeleteFunc(slices.Clone(phases[f.Phase]), isOthers); len(own) != 1 || own[0] != f.Text {
			s.Lacks = append(s.Lacks, f.Phase)
		}
	}
	for _, texts := range phases {
		for _, text := range texts {
			s.Version = cmp.Or(VersionOf(text), s.Version)
		}
	}
	return s
}

// Add puts the functions into a row of post-function, by the functions of its phases: behind
// those that are there, and in the place of those of another version.
func Add(phases map[string][]string) {
	for _, f := range Functions() {
		phases[f.Phase] = append(slices.DeleteFunc(slices.Clone(phases[f.Phase]), isOwn), f.Text)
	}
}

func isOwn(text string) bool    { return VersionOf(text) != "" }
func isOthers(text string) bool { return VersionOf(text) == "" }

// VersionOf returns the version of one of the functions, changed or not; empty: it is none.
func VersionOf(text string) string {
	if m := written.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// Complete reports whether the row has all of it, as it is written here.
func (s State) Complete() bool { return len(s.Lacks) == 0 }
