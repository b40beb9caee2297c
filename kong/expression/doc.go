// Package expression owns the language of Kong's router of the flavor expressions: it
// reads and checks an expression as Kong 3.9.3 does, and evaluates it for the values
// that a request has.
//
// A predicate compares a field with a literal: http.path ^= "/shop". It is false where
// the request has no value of the field, whatever its operator. Where it has several, as
// a header may, all have to fulfil it, or one if the field is in any(…). Predicates are
// joined by && and ||, of which || binds tighter, as in Kong.
//
// Regular expressions are those of Go, which differ from Kong's (Rust's) in rare things,
// such as \d, which matches ASCII digits only.
package expression
