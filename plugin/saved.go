package plugin

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"kong-traffic-split/plugin/config"
)

// The keys of the saved state of splits.
const (
	rowStates  = "split/row/"  // and the row's id
	fileStates = "split/file/" // and the split's name
)

const (
	// SavedConfigs is how the keys of the last good configurations in the saved state
	// begin.
	SavedConfigs = "config/"

	savedRows   = SavedConfigs + "row/"   // and the row's id
	savedSplits = SavedConfigs + "split/" // and the split's name

	// configLife is how long a last good configuration is good after its last request,
	// and stampPause how exactly that is known. Kong does not say which rows are gone, and
	// without a database it gives their ids to others.
	configLife = 24*time.Hour + stampPause
	stampPause = time.Hour
	// maxSavedConfig is how long one may be to be saved, in bytes. A longer one ends with
	// the process.
	maxSavedConfig = 256 << 10
)

// savedConfig is the last good configuration of a plugin row or of an entry of the
// split files. It does not change.
type savedConfig struct {
	// Placement is where the row was: what was good there says nothing about another
	// place. Empty: it is an entry.
	Placement string          `json:"placement,omitempty"`
	Used      time.Time       `json:"used"` // to the hour
	Config    json.RawMessage `json:"config"`
	// TooLong says that it is too long to be saved: another process lacks it.
	TooLong bool `json:"too_long,omitempty"`

	// config is what it was made of in this process, with its secrets; nil: another
	// process has saved it.
	config *config.Config
}

// same reports whether s and other are the same config, with the same secrets.
func (s *savedConfig) same(other *savedConfig) bool {
	return s.Placement == other.Placement && s.TooLong == other.TooLong && bytes.Equal(s.Config, other.Config) && s.session() == other.session()
}

// session is that of its config, as far as it is known.
func (s *savedConfig) session() config.Session {
	if s.config == nil || s.config.Session == nil {
		return config.Session{}
	}
	return *s.config.Session
}

// lost reports whether it was too long to be saved by the process that had it.
func (s *savedConfig) lost() bool { return s.TooLong && s.config == nil }

func (s *savedConfig) expired(now time.Time) bool { return now.Sub(s.Used) > configLife }
func (s *savedConfig) stale(now time.Time) bool   { return now.Sub(s.Used) >= stampPause }

// newSavedConfig is what is saved of c.
func newSavedConfig(c *config.Config, placement string, now time.Time) *savedConfig {
	text := c.Saved()
	return &savedConfig{Placement: placement, Used: now.UTC().Truncate(time.Second), Config: text, TooLong: len(text) > maxSavedConfig, config: c}
}

// savedConfig returns what is saved under a key, nil where nothing is that is still good.
func (p *Plugin) savedConfig(key string, now time.Time) *savedConfig {
	text := p.State.Get(key)
	if text == nil {
		return nil
	}
	var s savedConfig
	if err := json.Unmarshal(text, &s); err != nil {
		p.Log.Error("a saved configuration cannot be read", "key", key, "error", err)
		return nil
	}
	if s.expired(now) {
		return nil
	}
	return &s
}

func (p *Plugin) saveConfig(key string, s *savedConfig) {
	saved := *s
	if s.TooLong {
		saved.Config = nil
	}
	text, _ := json.Marshal(&saved) // of which nothing can fail
	p.State.Set(key, text)
	if s.TooLong {
		p.Log.Warn("a configuration is too long to be saved: should the next one be wrong, it stays in use only until the server is restarted", "key", key, "limit_bytes", maxSavedConfig)
	}
}

// deleteExpired deletes the last good configurations that are so no more.
func (p *Plugin) deleteExpired(now time.Time) {
	for _, key := range p.State.Keys(SavedConfigs) {
		if p.savedConfig(key, now) == nil {
			p.State.Set(key, nil)
		}
	}
	p.configs.mu.Lock()
	defer p.configs.mu.Unlock()
	maps.DeleteFunc(p.configs.kept, func(_ string, s *savedConfig) bool { return s.expired(now) })
}

// saveState saves the state of l. Of several calls at once the last one saves the latest
// state. Rows without an id have nothing in common, so theirs is not saved.
func (p *Plugin) saveState(l *live) {
	p.saving.Lock()
	defer p.saving.Unlock()
	l.savedKept.Store(uint64(l.state.Kept()))
	if l.stateKey == rowStates {
		return
	}
	memory := l.state.Memory(time.Now())
	if memory != nil || p.State.Get(l.stateKey) != nil {
		p.State.Set(l.stateKey, memory)
	}
}

// saveStep saves where the ramp of a new revision begins, if its steps wait: another process
// that did not know would begin where the clock has it by then.
func (p *Plugin) saveStep(l *live) {
	if l.split.Ramp.Waits() {
		p.saveState(l)
	}
}

// Refresh saves anew what the splits that are in use must not forget, without what is
// over: a store that outlives the process cannot know which of it is of use.
func (p *Plugin) Refresh() {
	p.rows.each(p.saveState)
	p.file.each(p.saveState)
	p.deleteExpired(time.Now())
}

// deleteState deletes the saved state of l, whose split is gone.
func (p *Plugin) deleteState(l *live) {
	p.saving.Lock()
	defer p.saving.Unlock()
	if p.State.Get(l.stateKey) != nil {
		p.State.Set(l.stateKey, nil)
	}
}

// loadState has l take over its saved state, which may be of an earlier process.
func (p *Plugin) loadState(l *live) {
	if memory := p.State.Get(l.stateKey); memory != nil {
		if err := l.state.Recall(memory, time.Now()); err != nil {
			p.Log.Error("saved state of a split cannot be read", "split", l.split.Identity, "error", err)
		}
	}
}

// Recall takes over what another process has just saved under key: the state of a split
// or a last good config. Other keys are ignored.
func (p *Plugin) Recall(key string) {
	if id, ok := strings.CutPrefix(key, rowStates); ok {
		p.rows.loadState(id)
	} else if name, ok := strings.CutPrefix(key, fileStates); ok {
		p.file.loadState(name)
	} else if id, ok := strings.CutPrefix(key, savedRows); ok {
		p.configs.load(id)
	} else if name, ok := strings.CutPrefix(key, savedSplits); ok {
		p.file.loadConfig(name)
	}
}
