package standin

import (
	"errors"
	"os"
	"sync"
)

// logFiles are those that the plugin file-log writes to.
type logFiles struct {
	mu   sync.Mutex
	open map[string]*os.File
}

// log is Kong's plugin file-log: a line of JSON for each request.
func (l *logFiles) log(x *exchange, row *pluginRow) error {
	line, err := x.serialize()
	if err != nil {
		return err
	}
	path, _ := row.config["path"].(string)
	l.mu.Lock()
	defer l.mu.Unlock()
	if row.config["reopen"] == true && l.open[path] != nil {
		_ = l.open[path].Close()
		delete(l.open, path)
	}
	if l.open[path] == nil {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return errors.New("failed to open the file: " + luaError(err))
		}
		if l.open == nil {
			l.open = map[string]*os.File{}
		}
		l.open[path] = f
	}
	_, err = l.open[path].Write(append(line, '\n'))
	return err
}

func (l *logFiles) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.open {
		_ = f.Close()
	}
}
