package server

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// The log goes to a pipe, mostly, and who is to read it may hang. The server must not hang
// with it: neither the requests of which something is logged, nor the parent process.

const (
	// logTime is how long a line of the log may take to be written. After one that takes
	// longer, none is waited for until that one is written.
	logTime = 500 * time.Millisecond
	// logLines is how many lines are kept meanwhile; others are dropped, and counted.
	logLines = 1000
)

// A LogWriter writes lines to a log. Its methods may be called by several goroutines at
// once; a line that Write has been given is written when it returns, unless the log is stuck.
type LogWriter struct {
	lines   chan pendingLine
	stuck   atomic.Bool
	dropped atomic.Uint64
	last    atomic.Int64 // when a line was dropped last, in Unix nanoseconds
}

type pendingLine struct {
	text    []byte
	written chan struct{} // closed when it is
}

// NewLogWriter returns a writer to the log, which goes on to the end of the process.
func NewLogWriter(to io.Writer) *LogWriter {
	w := &LogWriter{lines: make(chan pendingLine, logLines)}
	go w.run(to)
	return w
}

// Write implements [io.Writer]. It does not fail: there is nobody to tell.
func (w *LogWriter) Write(text []byte) (int, error) {
	line := pendingLine{bytes.Clone(text), make(chan struct{})}
	select {
	case w.lines <- line:
	default:
		w.dropped.Add(1)
		w.last.Store(time.Now().UnixNano()) // after the number, see Dropped
		return len(text), nil
	}
	if w.stuck.Load() {
		return len(text), nil
	}
	late := time.NewTimer(logTime)
	defer late.Stop()
	select {
	case <-line.written:
	case <-late.C:
		w.stuck.Store(true)
	}
	return len(text), nil
}

// DroppedLines are the lines that a log lacks.
type DroppedLines struct {
	Dropped uint64    // how many
	Last    time.Time // when the last one was dropped; zero: none was
}

// Dropped returns what was dropped so far.
func (w *LogWriter) Dropped() (d DroppedLines) {
	if at := w.last.Load(); at != 0 {
		d = DroppedLines{w.dropped.Load(), time.Unix(0, at).UTC()}
	}
	return d
}

func (w *LogWriter) run(to io.Writer) {
	var said uint64
	for line := range w.lines {
		_, _ = to.Write(line.text)
		w.stuck.Store(false)
		close(line.written)
		if dropped := w.dropped.Load(); dropped > said && len(w.lines) == 0 {
			_, _ = fmt.Fprintf(to, "time=%s level=WARN msg=\"the log was not read in time, and lines of it are missing\" lines=%d\n",
				time.Now().Format("2006-01-02T15:04:05.000Z07:00"), dropped-said)
			said = dropped
		}
	}
}
