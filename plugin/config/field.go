package config

import "regexp"

// field describes one parameter. The words are those of Kong's schemas, in
// which most of it can be said; what only code can check is in valid and also.
type field struct {
	name string // empty where the value has none: elements, keys, values
	kind kind
	doc  string // for readers: Kong's schema, editors and the reference

	required bool
	def      any    // the default; nil: none
	derived  string // in words, a default that depends on other parameters

	min, max  int     // of an integer its range, of a string its length (min in characters, max in bytes), of an array or a map its length; max 0: no upper limit
	low, high float64 // of a number its range
	decimals  int     // how many a number may have
	unit      unit    // of an integer or a number
	example   string  // of an array, a map or a record, in YAML's flow style
	oneOf     []string
	none      []rule // a string that one of these matches is refused
	match     []rule // and one that does not match all of these
	empty     bool   // a string that may be empty
	onlyTrue  bool   // a boolean that is true where it is there
	secret    bool   // never shown: a string, which may stand in a vault, or a record with such a string in it

	http     bool     // only Kong's HTTP side has what it is about, and not where it passes on TCP
	notHTTP  []string // of a string with http, the values that any connection has
	outcomes bool     // needs to be told what becomes of requests

	elements     *field // of an array
	keys, values *field // of a map
	fields       []field
	checks       []check           // between the fields of a record
	inherits     bool              // a record that takes what it lacks from elsewhere before it is checked
	hints        map[string]string // what to say of an unknown key that people are likely to try

	valid func(s string) string                         // what else is wrong with a string, in words; empty: nothing
	also  func(r *reader, n *Node, path string, to any) // fills in derived defaults of a record and reports what else is wrong with it
}

// mustBeTrue is what is said of a boolean that is not true and has to be.
const mustBeTrue = "must be true; leave it out otherwise"

// kind is a type of Kong's schemas.
type kind string

const (
	kindString  kind = "string"
	kindInteger kind = "integer"
	kindNumber  kind = "number"
	kindBoolean kind = "boolean"
	kindArray   kind = "array"
	kindMap     kind = "map"
	kindRecord  kind = "record"
)

// unit is what a number counts, for what to say of one that is written otherwise.
type unit string

const (
	unitSeconds unit = "seconds"
	unitPercent unit = "percent"
	unitRatio   unit = "ratio"  // 0.05 is 5 %
	unitShare   unit = "share"  // relative to the sum
	unitCount   unit = "number" // of things, ports and the like
)

// withArticle is the kind as a message names it.
func (k kind) withArticle() string {
	switch k {
	case kindInteger, kindArray:
		return "an " + string(k)
	case kindBoolean:
		return "true or false"
	case kindRecord:
		return "a map"
	}
	return "a " + string(k)
}

// rule is a regular expression of the small language of luaPattern, and what a
// string that breaks the rule is told: "must …".
type rule struct {
	pattern *regexp.Regexp
	message string
}

// must makes a rule of the table.
func must(pattern, message string) rule {
	return rule{regexp.MustCompile(pattern), "must " + message}
}

// check is one relation between the fields of a record. Exactly one of its
// forms is used.
type check struct {
	onlyOneOf         []string // exactly one of these is set
	atLeastOneOf      []string
	mutuallyExclusive []string // at most one of these is set
	distinct          []string // these two strings are not the same

	// Where ifField is set to ifEquals, or to what ifMatch matches (where there is
	// neither: to anything), thenField is required; or it must not be there (thenAbsent); or it is one
	// of thenOneOf, if it is there.
	ifField, ifEquals, thenField string
	ifMatch                      *regexp.Regexp
	thenAbsent                   bool
	thenOneOf                    []string

	message string // what thenField, or the second of distinct, is told
}

// requires says whether a check is of the form that asks for a field.
func (c *check) requires() bool {
	return c.ifField != "" && !c.thenAbsent && c.thenOneOf == nil
}

// field finds a field of a record.
func (f *field) field(name string) *field {
	for i := range f.fields {
		if f.fields[i].name == name {
			return &f.fields[i]
		}
	}
	return nil
}
