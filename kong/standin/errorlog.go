package standin

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// level is how severe a line of the error log is. A lower one is more severe.
type level int

const (
	levelEmerg level = iota
	levelAlert
	levelCrit
	levelError
	levelWarn
	levelNotice
	levelInfo
	levelDebug
)

// levelNames are nginx's names of the levels.
var levelNames = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

// parseLevel reads the value of KONG_LOG_LEVEL. Empty is notice, as in Kong.
func parseLevel(name string) (level, error) {
	if name == "" {
		return levelNotice, nil
	}
	for i, known := range levelNames {
		if name == known {
			return level(i), nil
		}
	}
	return 0, fmt.Errorf("log_level: %q is not one of %s", name, strings.Join(levelNames, ", "))
}

// errorLog writes lines in the shape of nginx's error log. It may be used by
// several goroutines at the same time.
type errorLog struct {
	mu    sync.Mutex
	w     io.Writer
	level level
}

// print writes one line. connection is the number of the client's connection,
// 0 where there is none; context is what nginx appends, such as ", client: …".
func (l *errorLog) print(lv level, connection uint64, message, context string) {
	if lv > l.level {
		return
	}
	number := ""
	if connection > 0 {
		number = fmt.Sprintf("*%d ", connection)
	}
	line := fmt.Sprintf("%s [%s] %d#0: %s%s%s\n", time.Now().Format("2006/01/02 15:04:05"),
		levelNames[lv], os.Getpid(), number, strings.TrimRight(message, "\n"), context)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.w, line) // there is nowhere to say that this failed
}

// kong writes what Kong's own code logs outside of a request. source is the Lua
// file and line that says it in Kong.
func (l *errorLog) kong(lv level, source, format string, args ...any) {
	l.print(lv, 0, "[kong] "+source+" "+fmt.Sprintf(format, args...), "")
}

// Write takes what net/http logs, such as handshakes that fail.
func (l *errorLog) Write(line []byte) (int, error) {
	l.print(levelInfo, 0, string(line), "")
	return len(line), nil
}
