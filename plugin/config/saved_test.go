package config

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSavedHasNoSecret(t *testing.T) {
	c, err := FromKong([]byte(`{"__plugin_id":"p","route_id":"r","backends":[{"host":"a","weight":0}],
		"session":{"secret":"sixteen letters!","previous_secret":"eighteen letters!!","http_only":false,"$refs":{"secret":"{vault://env/s}"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	saved := c.Saved()
	const want = `{"algorithm":"smooth","backends":[{"host":"a","name":"a:80","port":80,"weight":0}],"hash_fallback":"none","hash_on":"none",` +
		`"log_decision":false,"on_unavailable":"fail","session":{"generation":0,"http_only":false,"max_age":0,"path":"/","renew":false,"same_site":"Lax","secure":"auto"}}`
	if string(saved) != want {
		t.Errorf("got  %s\nwant %s", saved, want)
	}
}

func TestRestoreTakesTheSecretsOfNow(t *testing.T) {
	const sessions, none = `{"backends":[{"host":"a"}],"session":{"max_age":60}}`, `{"backends":[{"host":"a"}]}`
	for _, tt := range []struct {
		saved, now       string
		secret, previous Secret
		lacks            bool
	}{
		{none, `{"session":{"secret":"sixteen letters!"}}`, "", "", false},
		{sessions, `{"session":{"secret":"sixteen letters!","cookie":" "}}`, "sixteen letters!", "", false},
		{sessions, `{"session":{"secret":"sixteen letters!","previous_secret":"eighteen letters!!"}}`, "sixteen letters!", "eighteen letters!!", false},
		{sessions, `{"session":{"secret":"sixteen letters!","previous_secret":"short"}}`, "sixteen letters!", "", false},
		{sessions, `{"session":{"secret":"","previous_secret":"eighteen letters!!"}}`, "", "", true},
		{sessions, `{"session":{"secret":"short"}}`, "", "", true},
		{sessions, `{"session":[]}`, "", "", true},
		{sessions, `no JSON`, "", "", true},
		{sessions, `{"session":{"secret":"sixteen letters!"},"x":"` + strings.Repeat("x", maxText) + `"}`, "", "", true},
	} {
		c, lacks, err := Restore([]byte(tt.saved), sent(tt.now), nil)
		if err != nil {
			t.Errorf("%.80s: %v", tt.now, err)
			continue
		}
		var secret, previous Secret
		if c.Session != nil {
			secret, previous = c.Session.Secret, c.Session.PreviousSecret
		}
		if secret != tt.secret || previous != tt.previous || lacks != tt.lacks {
			t.Errorf("%.80s: got %q, %q, %v", tt.now, string(secret), string(previous), lacks)
		}
	}
}

// sent is what there is to know of what Kong sends.
func sent(text string) *Node {
	n, _ := ParseKong([]byte(text))
	return n
}

// checkSaved checks that a configuration comes back from what is saved of it and the
// secrets in text, which it is of.
func checkSaved(t rapid.TB, c *Config, text []byte) {
	t.Helper()
	saved := c.Saved()
	back, lacks, err := Restore(saved, sent(string(text)), nil)
	if err != nil || lacks || !reflect.DeepEqual(back, c) {
		t.Fatalf("%s is saved as\n%s\nand comes back as %+v, %v, %v", text, saved, back, lacks, err)
	}
}
