package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Saved returns what may be saved of a checked configuration: its parameters in JSON, as
// Kong would send them, without secrets.
func (c *Config) Saved() ([]byte, error) {
	return json.Marshal(row.saved(reflect.ValueOf(c).Elem()))
}

// Restore returns the configuration that [Config.Saved] has returned as saved. It takes
// the session's secrets from now, the JSON that Kong sends now, which may be wrong
// otherwise; or else from before, the configuration that was saved, which is nil if this
// process never had it. Without secrets it leaves the session out, so that clients are
// not pinned, and lacks is true. It accepts parameters that need the outcomes of requests
// even if Kong does not report any: they have no effect then.
func Restore(saved, now []byte, before *Config) (c *Config, lacks bool, err error) {
	v, err := decodeAny(saved)
	if err != nil {
		return nil, false, fmt.Errorf("the saved configuration cannot be read: %w", err)
	}
	all, _ := v.(map[string]any)
	session, _ := all["session"].(map[string]any)
	if session == nil {
		c, err = fromAny(all)
		return c, false, err
	}
	secret, previous := secretsOf(now)
	candidates := []map[string]string{{"secret": secret, "previous_secret": previous}, {"secret": secret}}
	if before != nil && before.Session != nil {
		s := before.Session
		candidates = append(candidates, map[string]string{"secret": string(s.Secret), "previous_secret": string(s.PreviousSecret)})
	}
	for _, given := range candidates {
		for _, name := range []string{"secret", "previous_secret"} {
			delete(session, name)
			if s := given[name]; s != "" {
				session[name] = s
			}
		}
		if c, err = fromAny(all); err == nil {
			return c, false, nil
		}
	}
	delete(all, "session")
	c, err = fromAny(all)
	return c, true, err
}

func fromAny(v map[string]any) (*Config, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return FromKong(text)
}

// secretsOf returns the session's secrets in what Kong sends; empty: there are none.
func secretsOf(text []byte) (secret, previous string) {
	if len(text) > maxText {
		return "", ""
	}
	v, _ := decodeAny(text)
	all, _ := v.(map[string]any)
	session, _ := all["session"].(map[string]any)
	secret, _ = session["secret"].(string)
	previous, _ = session["previous_secret"].(string)
	return secret, previous
}

// saved returns what is saved of a value of the kind of f; nil: nothing.
func (f *field) saved(v reflect.Value) any {
	if v.IsZero() && f.def == nil { // what has a default may be set to zero
		return nil
	}
	switch f.kind {
	case kindRecord:
		v = reflect.Indirect(v)
		all := map[string]any{}
		for i := range f.fields {
			p := &f.fields[i]
			if p.kind == kindString && p.secret {
				continue
			}
			if value := p.saved(v.FieldByName(goName(p.name))); value != nil {
				all[p.name] = value
			}
		}
		return all
	case kindArray:
		all := make([]any, v.Len())
		for i := range all {
			// A value in a list is saved even if it is zero.
			if all[i] = f.elements.saved(v.Index(i)); all[i] == nil {
				all[i] = v.Index(i).Interface()
			}
		}
		return all
	}
	return v.Interface()
}

// decodeAny parses JSON, with numbers as they are written.
func decodeAny(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return v, d.Decode(&v)
}
