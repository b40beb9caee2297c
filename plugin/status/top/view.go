package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"kong-traffic-split/plugin/status"
)

// styles are those of parts of lines, in the terminal's own sixteen colours, so that they
// are readable on any background. Where there are no colours, they are left out when it is
// drawn.
var styles = map[status.Style]ansi.Style{
	status.Heading: ansi.NewStyle().Bold(),
	status.Faint:   ansi.NewStyle().Faint(),
	status.Bad:     ansi.NewStyle().ForegroundColor(ansi.Red),
	status.Bar:     ansi.NewStyle().ForegroundColor(ansi.Blue),
	status.RampBar: ansi.NewStyle().ForegroundColor(ansi.Yellow),
}

var inverse = ansi.NewStyle().Reverse(true)

// View implements [tea.Model].
func (m model) View() tea.View {
	v := tea.NewView(m.content())
	v.AltScreen = true
	return v
}

// content is all of the screen: a line that says how the servers do, a part of the body, and
// a line of keys.
func (m model) content() string {
	if m.width < 1 || m.height < 1 {
		return "" // its size is not known yet
	}
	var all strings.Builder
	clock := ""
	if !m.now.IsZero() {
		clock = m.now.UTC().Format("15:04:05Z")
	}
	all.WriteString(inverse.Styled(m.spread(" splitctl top: "+m.summary(), clock+" ")) + "\n")
	body := m.body()
	for i := range m.page() {
		if at := m.above + i; at < len(body) {
			all.WriteString(m.styled(body[at]))
		}
		all.WriteString("\n")
	}
	all.WriteString(inverse.Styled(m.spread(m.foot(len(body)))))
	return all.String()
}

// foot says what keys there are, and what part of the body is seen.
func (m model) foot(lines int) (left, right string) {
	switch {
	case m.typing:
		left = " filter: " + m.filter + "_   Enter: keep, Esc: show all"
	case m.filter != "":
		left = " filter: " + m.filter + "   /: change, Esc: show all"
	default:
		left = " q: end   ↑↓: scroll   /: filter   ?: help"
	}
	if lines > m.page() {
		right = fmt.Sprintf("%d-%d of %d lines ", m.above+1, min(m.above+m.page(), lines), lines)
	}
	return left, right
}

// spread returns a line with a text at its left and one at its right, of which the left one
// matters more.
func (m model) spread(left, right string) string {
	space := m.width - ansi.StringWidth(left) - ansi.StringWidth(right)
	if space < 0 {
		right, space = "", m.width-ansi.StringWidth(left)
	}
	if space < 0 {
		return ansi.Truncate(left, m.width, "…")
	}
	return left + strings.Repeat(" ", space) + right
}

// styled returns a line with colours, and no longer than the terminal is wide.
func (m model) styled(line status.Line) string {
	var all strings.Builder
	for _, part := range line {
		if style, ok := styles[part.Style]; ok {
			all.WriteString(style.Styled(part.Text))
		} else {
			all.WriteString(part.Text)
		}
	}
	return ansi.Truncate(all.String(), m.width, "…")
}
