package file

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// notifier has the system notify of changes in the folders that matter for a path. If
// the system cannot, that is logged, and there are no notifications.
type notifier struct {
	path   string
	log    *slog.Logger
	open   func() (*fsnotify.Watcher, error)
	system *fsnotify.Watcher // nil: no notifications
	logged bool              // that a folder cannot be watched
}

func newNotifier(path string, log *slog.Logger) notifier {
	return notifier{path: path, log: log, open: fsnotify.NewWatcher}
}

// start starts to watch. The channels are nil if the system cannot.
func (n *notifier) start() (<-chan fsnotify.Event, <-chan error) {
	system, err := n.open()
	if err != nil {
		n.log.Warn("the system does not notify of changes; split files are read every few seconds instead", "path", n.path, "error", err)
		return nil, nil
	}
	n.system = system
	n.follow()
	return system.Events, system.Errors
}

func (n *notifier) stop() {
	if n.system != nil {
		n.system.Close()
	}
}

// follow watches the folders in which a change can be: that of the file, where
// editors and ConfigMaps put a new one, the folder itself if it is one, and the
// folder where a link leads. Folders that are watched already stay so; one that
// was deleted and made again is found by calling this again.
func (n *notifier) follow() {
	if n.system == nil {
		return
	}
	folders := []string{filepath.Dir(n.path)}
	if to := target(n.path); to != "" {
		folders = append(folders, filepath.Dir(to))
	}
	if info, err := os.Stat(n.path); err == nil && info.IsDir() {
		folders = append(folders, n.path)
	}
	for _, folder := range folders {
		err := n.system.Add(folder)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !n.logged {
			n.logged = true
			n.log.Warn("the system does not notify of changes in a folder; split files are read every few seconds", "folder", folder, "error", err)
		}
	}
}

// concerns reports whether an event may be about the files at the path. Other events,
// such as those of an editor's own files, must not delay reading.
func (n *notifier) concerns(e fsnotify.Event) bool {
	name := filepath.Base(e.Name)
	return name == filepath.Base(n.path) ||
		name == filepath.Base(target(n.path)) ||
		strings.HasPrefix(name, "..") || // ..data, through which a ConfigMap's files are linked
		isSplitFile(name)
}

// isSplitFile reports whether a file of that name in a folder is a split file.
func isSplitFile(name string) bool {
	ext := filepath.Ext(name)
	return !strings.HasPrefix(name, ".") && (ext == ".yaml" || ext == ".yml")
}
