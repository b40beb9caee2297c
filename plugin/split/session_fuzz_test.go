package split

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Whatever a client sends as cookies: only what has been signed counts, and what has
// been signed does.
func FuzzCookie(f *testing.F) {
	s := &Split{
		Identity: "shop",
		Backends: []Backend{{Name: "0", Weight: 1}, {Name: "1", Weight: 1}},
		Session:  &Session{Cookie: "pin", MaxAge: time.Hour, Secrets: [][]byte{[]byte("0123456789abcdef"), []byte("fedcba9876543210")}},
	}
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	signed := func(backend int) (text string, raw []byte) {
		pair, _, _ := strings.Cut(s.setCookie(backend, &Facts{Now: now}, 0), ";")
		text = strings.TrimPrefix(pair, "pin=")
		raw, err := encoding.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		return text, raw
	}
	text, _ := signed(1)
	for _, cookies := range []string{"", "pin", "pin=", "pin=" + text, `a=b; pin="` + text + `"; pin=x`, "pin=" + text + "\n", "pin=" + text[1:], ";;==;\x00\xff"} {
		f.Add(cookies, "1")
	}
	f.Fuzz(func(t *testing.T, cookies, name string) {
		backend := s.pinned(&Facts{Now: now, Cookies: cookies}).backend
		if backend >= 0 {
			_, want := signed(backend)
			found := false
			for value, rest, ok := nextCookie(cookies, "pin"); ok && !found; value, rest, ok = nextCookie(rest, "pin") {
				raw, err := encoding.DecodeString(value)
				found = err == nil && bytes.Equal(raw, want)
			}
			if !found {
				t.Fatalf("%q pins to %d", cookies, backend)
			}
		}
		if strings.ContainsAny(cookies, `;="`) || name == "" || len(name) > 1000 {
			return
		}
		own := *s
		own.Backends = []Backend{{Name: "other"}, {Name: name}}
		if name == "other" {
			return
		}
		pair, _, _ := strings.Cut(own.setCookie(1, &Facts{Now: now}, 0), ";")
		if p := own.pinned(&Facts{Now: now, Cookies: cookies + "; " + pair}); p != (pin{backend: 1, current: true, expiry: uint64(now.Add(time.Hour).Unix())}) {
			t.Fatalf("after %q the cookie of %q says %+v", cookies, name, p)
		}
	})
}
