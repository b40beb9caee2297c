package config

import "regexp"

// field describes one parameter, in the words of Kong's schemas, which can express most
// of it. What only code can check is in valid and also.
type field struct {
	name string // empty for elements, keys and values
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
	numbers   []int  // of an integer all that it may be; empty: its range counts
	none      []rule // a string must not match any of these
	match     []rule // a string has to match all of these
	empty     bool   // a string that may be empty
	onlyTrue  bool   // a boolean that has to be true, or absent
	secret    bool   // never shown: a string, which may be in a vault, or a record with such a string

	http     bool     // it makes sense for HTTP requests only, not for TCP connections
	notHTTP  []string // of a string with http, the values that make sense for any connection
	outcomes bool     // it needs the outcomes of requests

	elements     *field // of an array
	keys, values *field // of a map
	fields       []field
	checks       []check           // between the fields of a record
	inherits     bool              // a record that takes keys from the defaults before it is checked
	hints        map[string]string // by an unknown key that people are likely to try, what to do instead

	valid func(s string) string                         // what else is wrong with a string, in words; empty: nothing
	also  func(r *reader, n *Node, path string, to any) // fills in derived defaults of a record and reports what else is wrong with it
}

// mustBeTrue is the message for a boolean that has to be true.
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

// unit is what a number counts, for messages about one that is written in another form.
type unit string

const (
	unitSeconds unit = "seconds"
	unitPercent unit = "percent"
	unitRatio   unit = "ratio"  // 0.05 is 5 %
	unitShare   unit = "share"  // relative to the sum
	unitCount   unit = "number" // of things, ports and the like
)

// withArticle returns the kind's name in a message.
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

// rule is a regular expression of the small language of luaPattern, and the message for
// a string that breaks the rule: "must …".
type rule struct {
	pattern *regexp.Regexp
	message string
}

// must returns a rule of the table.
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

	// If ifField is set to ifEquals, or to what ifMatch matches (without both: to
	// anything), thenField is required; with thenPositive it has to be above 0; with
	// thenAbsent it must be absent; with thenOneOf it has to be one of these, or absent.
	ifField, thenField       string
	ifEquals                 any // a string or a boolean
	ifMatch                  *regexp.Regexp
	thenAbsent, thenPositive bool
	thenRecord               bool // the field that is required is a record
	thenOneOf                []string

	message string // about thenField, or the second of distinct or mutuallyExclusive, which may have none
}

// requires reports whether a check is of the form that requires a field.
func (c *check) requires() bool {
	return c.ifField != "" && !c.thenAbsent && c.thenOneOf == nil
}

// field returns the field of that name of a record; nil: there is none.
func (f *field) field(name string) *field {
	for i := range f.fields {
		if f.fields[i].name == name {
			return &f.fields[i]
		}
	}
	return nil
}
