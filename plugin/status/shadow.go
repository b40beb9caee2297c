package status

import (
	"maps"
	"slices"
	"strings"

	"kong-traffic-split/plugin"
)

// shadowText says what a shadow has got since the process began.
func shadowText(m *plugin.MirrorStatus) string {
	text := m.Shadow + ": " + percentage(m.Percent/100) + " of the requests"
	if len(m.Sources) > 0 {
		text += " to " + strings.Join(m.Sources, ", ")
	}
	copies, answers := uint64(0), []string{}
	for _, class := range slices.Sorted(maps.Keys(m.Copies)) {
		n := m.Copies[class]
		copies += n
		switch {
		case n == 0:
		case class == "no_answer":
			answers = append(answers, grouped(n)+" without an answer")
		default:
			answers = append(answers, grouped(n)+" "+class)
		}
	}
	text += "; copies: " + grouped(copies)
	if len(answers) > 0 {
		text += " (" + strings.Join(answers, ", ") + ")"
	}
	if c := m.Compared; c != nil && c.Same+c.Differing > 0 {
		text += "; answers of another class than the backend's: " + grouped(c.Differing) + " of " + grouped(c.Same+c.Differing)
	}
	var drops []string
	for _, reason := range slices.Sorted(maps.Keys(m.Uncopied)) {
		if n := m.Uncopied[reason]; n > 0 {
			drops = append(drops, string(reason)+" "+grouped(n))
		}
	}
	if len(drops) > 0 {
		text += "; not copied: " + strings.Join(drops, ", ")
	}
	return text
}
