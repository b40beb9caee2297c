package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// Saved returns what may be saved of a checked configuration: its parameters in JSON, as
// Kong would send them, without secrets.
func (c *Config) Saved() []byte {
	text, err := json.Marshal(row.saved(reflect.ValueOf(c).Elem()))
	if err != nil {
		panic(err) // it has come from JSON or YAML, whose numbers are finite
	}
	return text
}

// Restore returns the configuration that [Config.Saved] has returned as saved. It takes
// the session's secrets from now, what Kong sends now, which may be wrong otherwise, and
// nil if it is not known; or else from before, the configuration that was saved, which is
// nil if this process never had it. Without secrets it leaves the session out, so that
// clients are not pinned, and lacks is true. It accepts parameters that need the outcomes
// of requests even if Kong does not report any: they have no effect then.
func Restore(saved []byte, now *Node, before *Config) (c *Config, lacks bool, err error) {
	n, err := parseJSON(saved, maxValues)
	if err != nil {
		return nil, false, fmt.Errorf("the saved configuration cannot be read: %w", err)
	}
	session := n.Get("session")
	if session == nil {
		c, err = checkRow(n)
		return c, false, err
	}
	rest := slices.Clip(session.Members)
	for _, secrets := range secretsOf(now, before) {
		session.Members = append(rest, secrets...)
		if c, err = checkRow(n); err == nil {
			return c, false, nil
		}
	}
	n.Members = slices.DeleteFunc(n.Members, func(m Member) bool { return m.Key == "session" })
	c, err = checkRow(n)
	return c, true, err
}

// secretsOf returns the secrets that a session may have, those first that are to be
// preferred.
func secretsOf(now *Node, before *Config) (candidates [][]Member) {
	var session []Member
	if now != nil {
		if s := now.Get("session"); s != nil {
			session = s.Members
		}
	}
	secrets := slices.DeleteFunc(slices.Clone(session), func(m Member) bool {
		return m.Key != "secret" && m.Key != "previous_secret" || m.Value.Kind != String || m.Value.Text == ""
	})
	secretAlone := slices.DeleteFunc(slices.Clone(secrets), func(m Member) bool { return m.Key != "secret" })
	candidates = [][]Member{secrets, secretAlone}
	if before != nil && before.Session != nil {
		s := before.Session
		had := []Member{{Key: "secret", Value: &Node{Kind: String, Text: string(s.Secret)}}}
		if s.PreviousSecret != "" {
			had = append(had, Member{Key: "previous_secret", Value: &Node{Kind: String, Text: string(s.PreviousSecret)}})
		}
		candidates = append(candidates, had)
	}
	return candidates
}

// saved returns what is saved of a value of the kind of f; nil: nothing.
func (f *field) saved(v reflect.Value) any {
	if v.IsZero() && f.def == nil && !f.required { // what has a default may be set to zero
		return nil
	}
	return f.savedValue(v)
}

// savedValue returns what is saved of a value, which may be zero.
func (f *field) savedValue(v reflect.Value) any {
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
			all[i] = f.elements.savedValue(v.Index(i))
		}
		return all
	}
	return v.Interface()
}
