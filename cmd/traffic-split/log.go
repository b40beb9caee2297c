package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"kong-traffic-split/plugin/status"
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

// A logWriter writes lines to a log. Its methods may be called by several goroutines at
// once; a line that Write has been given is written when it returns, unless the log is stuck.
type logWriter struct {
	lines   chan logLine
	stuck   atomic.Bool
	dropped atomic.Uint64
	lastly  atomic.Int64 // when a line was dropped last, in Unix nanoseconds
}

type logLine struct {
	text    []byte
	written chan struct{} // closed when it is
}

// newLogWriter returns a writer to the log, which goes on to the end of the process.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{lines: make(chan logLine, logLines)}
	go w.run(to)
	return w
}

// Write implements [io.Writer]. It does not fail: there is nobody to tell.
func (w *logWriter) Write(text []byte) (int, error) {
	line := logLine{bytes.Clone(text), make(chan struct{})}
	select {
	case w.lines <- line:
	default:
		w.dropped.Add(1)
		w.lastly.Store(time.Now().UnixNano())
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

// Dropped returns what was dropped so far.
func (w *logWriter) Dropped() status.Log {
	lines := w.dropped.Load()
	if lines == 0 {
		return status.Log{}
	}
	return status.Log{Dropped: lines, Last: time.Unix(0, w.lastly.Load()).UTC()}
}

func (w *logWriter) run(to io.Writer) {
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
