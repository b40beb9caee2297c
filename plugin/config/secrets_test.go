package config

import (
	"strings"
	"testing"
)

// Whatever somebody does to a session, nothing that may be its secret is shown.
func TestNoMessageShowsASecret(t *testing.T) {
	const secret = "TOPSECRETTOPSECRET"
	for _, session := range []string{
		`"secret:` + secret + `"`,
		`["` + secret + `"]`,
		`{"secret:` + secret + `": null}`,
		`{"secret=` + secret + `": 1}`,
		`{"` + secret + `": ""}`,
		`{"` + secret + `": 1, "` + secret + `": 2}`,
		`{"secret": "x", "secret": "` + secret + `` + "\xff" + `"}`,
		`{"secret": "x", "` + secret + "\xff" + `": 1}`,
		`{"secret": ["` + secret + `"]}`,
		`{"secret": {"` + secret + `": "` + secret + `"}}`,
		`{"secret": "` + secret + `", "previous_secret": "` + secret + `"}`,
		`{"secret": "` + strings.Repeat(secret, 60) + `"}`,
		`{"secret": "{vault://` + secret + `}"}`,
		`{"secret": "x", "cookie": " ` + secret + `"}`,
		`{"secret": "x", "cookie": ["` + secret + `"]}`,
		`{"secret": "x", "path": "` + secret + `"}`,
		`{"secret": "x", "domain": "/` + secret + `"}`,
		`{"secret": "x", "max_age": "` + secret + `"}`,
		`{"secret": "x", "http_only": "` + secret + `"}`,
		`{"secret": "x", "secure": "` + secret + `"}`,
		`{"secret": "x", "same_site": "` + secret + `"}`,
		`{"secret": "x", "generation": {"a": "` + secret + `"}}`,
	} {
		config := withTwo(`"session": ` + session)
		_, err := FromKong([]byte(config))
		if err == nil {
			t.Errorf("%s is taken", session)
		} else if strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%s is told %v", session, err)
		}
		file, err := parseJSON([]byte(`{"splits": {"a": `+config+`}}`), maxValues)
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := DecodeFile(file); problems == nil || strings.Contains(problems.Error(), "TOPSECRET") {
			t.Errorf("in a split file, %s is told %v", session, problems)
		}
	}
}

// A number may be a secret too.
func TestNoMessageShowsASecretNumber(t *testing.T) {
	const secret = "8446744073709551616"
	for _, session := range []string{
		secret,
		`{"secret": ` + secret + `}`,
		`{"secret": "x", "cookie": ` + secret + `}`,
		`{"secret": "x", "max_age": ` + secret + `}`,
		`{"secret": "x", "generation": ` + secret + `.5}`,
	} {
		if _, err := FromKong([]byte(withTwo(`"session": ` + session))); err == nil || strings.Contains(err.Error(), "844674407370955") {
			t.Errorf("%s is told %v", session, err)
		}
	}
}

// Outside of a session, a key of a secret gives away what stands behind it.
func TestNoMessageShowsASecretInAWrongPlace(t *testing.T) {
	for config, want := range map[string]string{
		`{"secret:TOPSECRET": null}`:                                                                `"secret:…"`,
		`{"session": {"secret": "0123456789abcdef"}, "Secret: TOPSECRET": 1}`:                       `"Secret:…"`,
		`{"backends": "secret:TOPSECRET"}`:                                                          `"secret:…"`,
		`{"rules": [{"match": {"headers": {"previous_secret=TOPSECRET": ["1"]}}, "backend": "a"}]}`: `"previous_secret=…"`,
		`{"fallback": "{secret: TOPSECRET, cookie: a}"}`:                                            `"{secret:…"`,
	} {
		_, err := FromKong([]byte(config))
		if err == nil || strings.Contains(err.Error(), "TOPSECRET") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is told %v, want %s in it", config, err, want)
		}
	}
}
