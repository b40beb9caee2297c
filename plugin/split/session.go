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

// A session's cookie holds, in base64url, what pins the client and a code that needs the
// secret:
//
//	generation, expiry (Unix seconds; 0: none), the backend's name; HMAC-SHA256
//
// the first two as variable-length integers of encoding/binary. The code is over the
// split's identity too, so that no split accepts another one's cookies. A cookie is set
// only when it changes, not for every request: so a session ends at its expiry, however
// often the client comes. A cookie that the previous secret has signed is replaced by
// one that the new secret signs.

const (
	codeSize = sha256.Size
	// longestCookie is the length of the longest cookie that browsers keep, in bytes.
	// Longer ones are ignored.
	longestCookie = 4096
	// mostCookies is how many cookies of the same name are read: a client may have
	// some of other paths or domains.
	mostCookies = 4
)

var encoding = base64.RawURLEncoding

// pinned returns the backend that a client's cookies pin it to, or -1, and whether the
// first secret has signed that cookie.
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

// verify decodes a cookie's value. One that is forged, expired, of another generation or
// of no backend is ignored: the backend is -1 then.
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

// A browser asks by a CORS preflight whether it may send a request to another origin. It
// has this method and these headers. It never has a cookie, and browsers do not keep
// those of its response.
const preflightMethod = "OPTIONS"

// The headers of a CORS preflight. Few other requests have the second one.
const (
	OriginHeader    = "Origin"
	PreflightHeader = "Access-Control-Request-Method"
)

// MayBePreflight reports whether the request has [PreflightHeader].
func (f *Facts) MayBePreflight() bool {
	_, found := lookup(f.Headers, PreflightHeader)
	return found
}

// preflight reports whether the request is a CORS preflight.
func (f *Facts) preflight() bool {
	_, origin := lookup(f.Headers, OriginHeader)
	return f.Method == preflightMethod && origin && f.MayBePreflight()
}

// code returns the code that authenticates the content of a cookie.
func (s *Split) code(secret, content []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(binary.AppendUvarint(nil, uint64(len(s.Identity))))
	h.Write([]byte(s.Identity))
	h.Write(content)
	return h.Sum(nil)
}

// setCookie returns the Set-Cookie header that pins a client to a backend.
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
	if ses.Partitioned {
		b.WriteString("; Partitioned")
	}
	return b.String()
}
