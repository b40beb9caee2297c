package server

import "testing"

// What is not known to be silent is waited for.
func TestSilentMethods(t *testing.T) {
	for name, want := range map[string]bool{
		"kong.service.set_target":          true,
		"kong.service.request.set_headers": true,
		"kong.ctx.shared.set":              true,
		"kong.log.err":                     true,

		"kong.response.exit":        false, // Kong closes the connection instead of a reply
		"kong.service.set_upstream": false, // whether there is one
		"kong.nginx.set_ctx":        false,
		"kong.response.get_status":  false,
		"kong.response.set_headers": false, // the plugin does not call it
		"kong.no.such_method":       false,
	} {
		if got := silent[name] == name; got != want {
			t.Errorf("%s is silent: %v, want %v", name, got, want)
		}
	}
}
