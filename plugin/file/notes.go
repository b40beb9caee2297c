package file

import (
	"encoding/json"

	"kong-traffic-split/plugin/config"
)

// NoteKey is the key under which the texts of the files at path are noted.
func NoteKey(path string) string { return "file/" + path }

// put puts splits to use and then notes the texts that they are of, so that texts
// which a process dies of are not noted.
func (w *Watcher) put(splits map[string]*config.Config, texts []text) {
	w.splits = splits
	w.use(splits)
	if w.state == nil {
		return
	}
	note, _ := json.Marshal(texts) // strings can be
	w.state.Set(NoteKey(w.path), note)
}

// noted returns the splits that an earlier process had in use; nil where that is not
// known, or this process does not understand them.
func (w *Watcher) noted() map[string]*config.Config {
	if w.state == nil {
		return nil
	}
	note := w.state.Get(NoteKey(w.path))
	if note == nil {
		return nil
	}
	var texts []text
	err := json.Unmarshal(note, &texts)
	if err == nil {
		splits, problems := parse(texts, w.options)
		if problems == nil {
			return splits
		}
		err = problems
	}
	w.log.Error("what an earlier process has noted of the split file cannot be read", "path", w.path, "error", err)
	return nil
}
