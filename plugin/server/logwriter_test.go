package server

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A gatedWriter is a log that is read as long as its gate is open.
type gatedWriter struct {
	gate chan chan struct{} // has what a write waits for
	text bytes.Buffer
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	gate := <-w.gate
	w.gate <- gate
	<-gate
	return w.text.Write(p)
}

// Whoever logs waits for the log once, and not again until that is read.
func TestALogThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &gatedWriter{gate: make(chan chan struct{}, 1)}
		open, shut := make(chan struct{}), make(chan struct{})
		close(open)
		to.gate <- open
		w := &LogWriter{lines: make(chan pendingLine, logLines)}
		var running sync.WaitGroup
		running.Go(func() { w.run(to) })
		defer func() {
			close(w.lines)
			running.Wait()
		}()
		fmt.Fprintln(w, "read at once")
		if got := to.text.String(); got != "read at once\n" {
			t.Errorf("when it is written, the log has %q", got)
		}
		<-to.gate
		to.gate <- shut
		began := time.Now()
		for i := range logLines + 4 { // the first one is taken out
			fmt.Fprintln(w, "line", i)
		}
		if took := time.Since(began); took != logTime {
			t.Errorf("it takes %v, want %v", took, logTime)
		}
		if got := w.Dropped(); got.Dropped != 3 || !got.Last.Equal(time.Now()) {
			t.Errorf("dropped: %+v, want 3 lines, the last one now", got)
		}
		close(shut)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(to.text.String()), "\n")
		if len(lines) != 1+logLines+1+1 || !strings.HasSuffix(lines[len(lines)-1], `level=WARN msg="the log was not read in time, and lines of it are missing" lines=3`) {
			t.Errorf("then it has %d lines, the last one %q", len(lines), lines[len(lines)-1])
		}
		fmt.Fprintln(w, "read at once again")
		if got := to.text.String(); !strings.HasSuffix(got, "\nread at once again\n") {
			t.Error("afterwards lines are not written at once")
		}
	})
}
