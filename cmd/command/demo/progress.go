package demo

import (
	"fmt"
	"io"
	"sync"
	"time"

	"kong-traffic-split/cmd/command"
)

// progress shows what a command does: on a terminal in one line that is written anew, else
// in a line for each thing that begins. Its methods are safe for concurrent use.
type progress struct {
	to io.Writer
	// width returns that of the terminal, in columns; nil: it is none.
	width func() int
	done  chan struct{}

	mu           sync.Mutex // guards what follows, and what is written
	what, detail string
	since        time.Time // when that has begun
	told         string    // the last line, if it is no terminal
}

// progressOn returns a progress that is shown on w until it is closed.
func progressOn(w io.Writer) *progress {
	p := &progress{to: w, done: make(chan struct{})}
	if command.Width(w) > 0 {
		p.width = func() int { return command.Width(w) }
		go p.tick()
	}
	return p
}

// tick shows that time goes by.
func (p *progress) tick() {
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	for {
		select {
		case now := <-seconds.C:
			p.mu.Lock()
			if p.what != "" && p.detail == "" {
				p.draw(now)
			}
			p.mu.Unlock()
		case <-p.done:
			return
		}
	}
}

// show shows what is done, and how far that has come, if that can be said. Nothing is
// shown if both are empty, so that something else can be written.
func (p *progress) show(what, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); what != p.what {
		if p.width == nil && what != "" && what != p.told {
			fmt.Fprintln(p.to, what)
			p.told = what
		}
		p.since = now
	}
	if p.width != nil && (what != p.what || detail != p.detail) {
		p.what, p.detail = what, detail
		p.draw(time.Now())
	}
	p.what, p.detail = what, detail
}

// draw draws the line.
func (p *progress) draw(now time.Time) {
	text := p.what
	if p.detail != "" {
		text = p.detail
	} else if lasts := now.Sub(p.since).Truncate(time.Second); p.what != "" && lasts > 0 {
		text = fmt.Sprintf("%s: %v", text, lasts)
	}
	const clear = "\r\x1b[K"
	// In the last column, terminals may begin a new line.
	fmt.Fprint(p.to, clear+cut(text, p.width()-1))
}

// close ends it, with nothing shown.
func (p *progress) close() {
	p.show("", "")
	close(p.done)
}

// cut returns a text of at most so many characters.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:max(most-1, 0)]) + "…"
}
