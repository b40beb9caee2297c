package demo

import "testing"

func TestBrowserOpener(t *testing.T) {
	for _, c := range []struct {
		system   string
		variable string
		want     string
	}{
		{"darwin", "", "open"},
		{"linux", "DISPLAY", "xdg-open"},
		{"linux", "WAYLAND_DISPLAY", "xdg-open"},
		{"freebsd", "DISPLAY", "xdg-open"},
		{"linux", "", ""},
		{"linux", "SSH_TTY", ""},
	} {
		getenv := func(name string) string {
			if name == c.variable {
				return ":0"
			}
			return ""
		}
		if got := browserOpener(c.system, getenv); got != c.want {
			t.Errorf("%s with %s: got %q, want %q", c.system, c.variable, got, c.want)
		}
	}
}
