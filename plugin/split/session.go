package split

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A session's cookie holds, in base64url, what pins the client and a code that only
// who has the secret can make:
//
//	generation, expiry (Unix seconds; 0: none), the backend's name; HMAC-SHA256
//
// the first two as variable-length integers of encoding/binary. The code is over
// the split's identity too, so that no split takes another one's cookies. A cookie is
// set only when it changes, and not for every request: so a session ends when it was
// made to end, however often the client comes. One that the previous secret has
// signed is made anew.

const (
	codeSize = sha256.Size
	// longestCookie is how much of a cookie browsers keep, in bytes; a longer one is
	// not looked at.
	longestCookie = 4096
	// mostCookies is how many of the same name are looked at: a client may have some
	// of other paths or domains.
	mostCookies = 4
)

var encoding = base64.RawURLEncoding

// pinned returns the backend that a client's cookies pin it to, or -1, and whether
// the cookie is one that the first secret has signed.
func (s *Split) pinned(f *Facts) (backend int, current bool) {
	header := f.Cookies
	for range mostCookies {
		value, rest, found := nextCookie(header, s.Session.Cookie)
		if !found {
			break
		}
		if backend, current = s.verify(value, f.Now); backend >= 0 {
			return backend, current
		}
		header = rest
	}
	return -1, false
}

// verify takes a cookie's value apart. One that is forged, expired, of another
// generation or of no backend is as good as none.
func (s *Split) verify(value string, now time.Time) (backend int, current bool) {
	if len(value) > longestCookie {
		return -1, false
	}
	raw, err := encoding.DecodeString(value)
	if err != nil || len(raw) < codeSize {
		return -1, false
	}
	content, code := raw[:len(raw)-codeSize], raw[len(raw)-codeSize:]
	signer := slices.IndexFunc(s.Session.Secrets, func(secret []byte) bool {
		return hmac.Equal(code, s.code(secret, content))
	})
	if signer < 0 {
		return -1, false
	}
	generation, n := binary.Uvarint(content)
	if n <= 0 || generation != uint64(s.Session.Generation) {
		return -1, false
	}
	content = content[n:]
	expiry, n := binary.Uvarint(content)
	if n <= 0 || expiry != 0 && now.Unix() >= int64(expiry) {
		return -1, false
	}
	return s.index(string(content[n:])), signer == 0
}

// A CORS preflight, by which a browser asks whether it may send a request to another
// origin, is known by its method and these headers. It never has a cookie, and what is
// set with its answer is not kept.
const preflightMethod = "OPTIONS"

// The headers that a CORS preflight has. Hardly another request has the second one.
const (
	OriginHeader    = "Origin"
	PreflightHeader = "Access-Control-Request-Method"
)

// MayBePreflight reports whether the request has the header that hardly another one has
// than a CORS preflight.
func (f *Facts) MayBePreflight() bool {
	_, found := lookup(f.Headers, PreflightHeader)
	return found
}

// preflight reports whether the request is a CORS preflight.
func (f *Facts) preflight() bool {
	_, origin := lookup(f.Headers, OriginHeader)
	return f.Method == preflightMethod && origin && f.MayBePreflight()
}

// code authenticates what a cookie holds.
func (s *Split) code(secret, content []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(binary.AppendUvarint(nil, uint64(len(s.Identity))))
	h.Write([]byte(s.Identity))
	h.Write(content)
	return h.Sum(nil)
}

// setCookie is the Set-Cookie header that pins a client to a backend.
func (s *Split) setCookie(backend int, f *Facts) string {
	ses := s.Session
	content := binary.AppendUvarint(nil, uint64(ses.Generation))
	var expiry uint64
	if ses.MaxAge > 0 {
		expiry = uint64(f.Now.Add(ses.MaxAge).Unix())
	}
	content = binary.AppendUvarint(content, expiry)
	content = append(content, s.Backends[backend].Name...)
	content = append(content, s.code(ses.Secrets[0], content)...)

	var b strings.Builder
	b.WriteString(ses.Cookie + "=" + encoding.EncodeToString(content))
	attribute := func(name, value string) {
		if value != "" {
			b.WriteString("; " + name + "=" + value)
		}
	}
	attribute("Path", ses.Path)
	attribute("Domain", ses.Domain)
	if ses.MaxAge > 0 {
		attribute("Max-Age", strconv.FormatInt(int64(ses.MaxAge/time.Second), 10))
	}
	if ses.Secure == SecureAlways || ses.Secure == SecureAuto && f.HTTPS {
		b.WriteString("; Secure")
	}
	if ses.HTTPOnly {
		b.WriteString("; HttpOnly")
	}
	attribute("SameSite", ses.SameSite)
	return b.String()
}
