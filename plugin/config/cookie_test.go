package config

import (
	"fmt"
	"testing"

	"kong-traffic-split/plugin/split"
)

// What browsers drop unless it is for https alone is so, also where Kong sees http.
func TestCookiesThatAreForHTTPSAlone(t *testing.T) {
	for parameters, want := range map[string]split.Secure{
		`"http_only": true`:                              split.SecureAuto,
		`"same_site": "Strict"`:                          split.SecureAuto,
		`"same_site": "None"`:                            split.SecureAlways,
		`"same_site": "None", "secure": "auto"`:          split.SecureAlways,
		`"cookie": "__Host-a"`:                           split.SecureAlways,
		`"cookie": "__host-a"`:                           split.SecureAlways,
		`"cookie": "__Secure-a", "domain": ".a.example"`: split.SecureAlways,
		`"cookie": "x__Host-a", "path": "/a"`:            split.SecureAuto,
		`"secure": "always"`:                             split.SecureAlways,
		`"secure": "never"`:                              split.SecureNever,
	} {
		c, err := FromKong(fmt.Appendf(nil, `{"backends": [{"host": "a"}], "session": {"secret": "0123456789abcdef", %s}}`, parameters))
		if err != nil {
			t.Errorf("%s: %v", parameters, err)
		} else if got := c.Compile("x").Session.Secure; got != want {
			t.Errorf("%s: %s, not %s", parameters, got, want)
		}
	}
}
