// Package top shows the status of servers live in a terminal.
package top

import (
	"context"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"kong-traffic-split/plugin/status"
)

// pause is how long after an answer a server is asked again.
const pause = time.Second

// Run shows what servers report until the user ends it or ctx is done. The servers are
// asked by fetch, which is called for several at the same time.
func Run(ctx context.Context, addresses []string, fetch Fetch, in io.Reader, out io.Writer) error {
	p := tea.NewProgram(newModel(ctx, addresses, fetch), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	_, err := p.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Fetch returns what the server with a status address reports.
type Fetch func(ctx context.Context, address string) (*status.Report, error)

// model is what is shown. It changes only by messages.
type model struct {
	ctx     context.Context
	fetch   Fetch
	servers []status.Server
	now     time.Time // of the latest answer; zero: there is none

	width, height int
	above         int // lines of the body that are above the screen
	filter        string
	typing        bool // what is typed goes into the filter
	help          bool
}

func newModel(ctx context.Context, addresses []string, fetch Fetch) model {
	m := model{ctx: ctx, fetch: fetch, servers: make([]status.Server, len(addresses))}
	for i, address := range addresses {
		m.servers[i].Address = address
	}
	return m
}

// answer is what came of asking a server.
type answer struct {
	server int
	report *status.Report
	err    error
	at     time.Time
}

// again says that it is time to ask a server again.
type again struct{ server int }

// Init implements [tea.Model]. It asks all servers.
func (m model) Init() tea.Cmd {
	var all []tea.Cmd
	for i := range m.servers {
		all = append(all, m.ask(i))
	}
	return tea.Batch(all...)
}

func (m model) ask(server int) tea.Cmd {
	return func() tea.Msg {
		r, err := m.fetch(m.ctx, m.servers[server].Address)
		return answer{server, r, err, time.Now()}
	}
}

// Update implements [tea.Model].
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case answer:
		m = m.answered(msg)
		return m.clamped(), tea.Tick(pause, func(time.Time) tea.Msg { return again{msg.server} })
	case again:
		return m, m.ask(msg.server)
	case tea.KeyPressMsg:
		var cmd tea.Cmd
		if m.typing {
			m, cmd = m.typed(msg)
		} else {
			m, cmd = m.pressed(msg)
		}
		return m.clamped(), cmd
	}
	return m.clamped(), nil
}

// answered takes what came of asking a server. Of one that is away, nothing old is shown.
func (m model) answered(a answer) model {
	servers := append([]status.Server{}, m.servers...) // the former model keeps its own
	s := &servers[a.server]
	if s.Report, s.Err = a.report, a.err; a.err == nil {
		s.Away = time.Time{}
	} else if s.Report = nil; s.Away.IsZero() {
		s.Away = a.at
	}
	m.servers, m.now = servers, a.at
	return m
}

// page is how many lines of the body are seen at once.
func (m model) page() int { return max(m.height-2, 1) }

// clamped returns the model without empty lines below the body where there are lines above.
func (m model) clamped() model {
	m.above = max(min(m.above, len(m.body())-m.page()), 0)
	return m
}

// body is what is shown between the first and the last line.
func (m model) body() []status.Line {
	if m.help {
		return help
	}
	return status.Screen(m.servers, m.width, m.filter)
}

// away and wrong count servers that do not answer, and what is wrong with the others.
func (m model) away() (away, wrong int) {
	for _, s := range m.servers {
		if s.Err != nil {
			away++
		} else if s.Report != nil {
			wrong += len(s.Report.Wrong)
		}
	}
	return away, wrong
}

// summary says how the servers do, in a line.
func (m model) summary() string {
	text := "1 server"
	if n := len(m.servers); n > 1 {
		text = fmt.Sprintf("%d servers", n)
	}
	switch away, wrong := m.away(); {
	case m.now.IsZero():
		text += ", not asked yet"
	case away == 0 && wrong == 0:
		text += ", nothing is wrong"
	default:
		if away > 0 {
			text += fmt.Sprintf(", %d away", away)
		}
		if wrong > 0 {
			text += fmt.Sprintf(", things that are wrong: %d", wrong)
		}
	}
	return text
}
