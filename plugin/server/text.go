package server

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	// maxReason is the most bytes of a reason that are logged. Nginx cuts a line of its
	// log at 2048.
	maxReason = 1500
	// maxName is the most bytes that are kept of what Kong calls something.
	maxName = 100
)

// logLine makes one line of UTF-8 of reason, which may hold what a client sent.
func logLine(reason string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, cut(reason, maxReason))
}

// shown is what is logged of an error, or of what a panic says.
func shown(v any) string { return logLine(fmt.Sprint(v)) }

// short is a name that a peer has given something.
func short(name string) string { return cut(name, maxName) }

// cut is text without what is too long of it. It does not keep the rest in memory.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
