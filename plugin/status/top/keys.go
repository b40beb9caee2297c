package top

import (
	tea "charm.land/bubbletea/v2"

	"kong-traffic-split/plugin/status"
)

var help = []status.Line{
	{{Text: "keys", Style: status.Heading}},
	{},
	{{Text: "  q, Ctrl-C         end"}},
	{{Text: "  ↑ ↓, k j          scroll by a line"}},
	{{Text: "  PgUp PgDn, b f    scroll by a page"}},
	{{Text: "  Home End, g G     to the beginning, to the end"}},
	{{Text: "  /                 show only splits whose name, or that of a backend, has a"}},
	{{Text: "                    text in it; Enter keeps it, Esc shows all again"}},
	{{Text: "  ?                 this help, and back"}},
	{},
	{{Text: "what is shown", Style: status.Heading}},
	{},
	{{Text: "  share     what a backend is to get of new clients, by weights and ramp: ▀"}},
	{{Text: "  got       what it got of the requests of the last minute: ▄"}},
	{{Text: "  req/s     requests a second in the last minute"}},
	{{Text: "  failed    of those whose outcome is known"}},
	{{Text: "  mean      the latency of the answers; if the terminal is wide, also that"}},
	{{Text: "            which 95 % of them did not exceed"}},
}

// pressed does what a key is for.
func (m model) pressed(key tea.KeyPressMsg) (model, tea.Cmd) {
	switch key.String() {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	case "up", "k":
		m.above--
	case "down", "j":
		m.above++
	case "pgup", "b":
		m.above -= m.page()
	case "pgdown", "f", "space":
		m.above += m.page()
	case "home", "g":
		m.above = 0
	case "end", "G":
		m.above = len(m.body())
	case "?":
		m.help, m.above = !m.help, 0
	case "esc":
		m.help, m.filter, m.above = false, "", 0
	case "/":
		m.help, m.typing, m.above = false, true, 0
	}
	return m, nil
}

// typed takes a key while the filter is typed.
func (m model) typed(key tea.KeyPressMsg) (model, tea.Cmd) {
	switch key.String() {
	case "ctrl+c":
		return m, tea.Quit
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "ctrl+u":
		m.filter = ""
	case "backspace":
		if runes := []rune(m.filter); len(runes) > 0 {
			m.filter = string(runes[:len(runes)-1])
		}
	default:
		m.filter += key.Text // empty where it is no character
	}
	return m, nil
}
