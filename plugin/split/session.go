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
// often the client comes. With Renew, it is set anew when more than half of MaxAge has
// passed, which is rare for clients that come often: so a session ends when the client has
// not come for MaxAge, or for half of it at the least. One at a backend that takes no new
// clients is not renewed, so that weight 0 drains it within MaxAge. A cookie that the
// previous secret has signed is replaced by one that the new secret signs, with its expiry.

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

// A pin is what a valid cookie says.
type pin struct {
	backend int    // or -1: there is no such cookie
	current bool   // the first secret has signed it
	aged    bool   // more than half of MaxAge has passed
	expiry  uint64 // in Unix seconds; 0: none
}

var unpinned = pin{backend: -1}

// pinned returns what a client's cookies pin it to.
func (s *Split) pinned(f *Facts) pin {
	header := f.Cookies
	for range mostCookies {
		value, rest, found := nextCookie(header, s.Session.Cookie)
		if !found {
			break
		}
		if p := s.verify(value, f.Now); p.backend >= 0 {
			return p
		}
		header = rest
	}
	return unpinned
}

// verify decodes a cookie's value. One that is forged, expired, of another generation or
// of no backend is ignored: the backend is -1 then.
func (s *Split) verify(value string, now time.Time) pin {
	if len(value) > longestCookie {
		return unpinned
	}
	raw, err := encoding.DecodeString(value)
	if err != nil || len(raw) < codeSize {
		return unpinned
	}
	content, code := raw[:len(raw)-codeSize], raw[len(raw)-codeSize:]
	signer := slices.IndexFunc(s.Session.Secrets, func(secret []byte) bool {
		return hmac.Equal(code, s.code(secret, content))
	})
	if signer < 0 {
		return unpinned
	}
	generation, n := binary.Uvarint(content)
	if n <= 0 || generation != uint64(s.Session.Generation) {
		return unpinned
	}
	content = content[n:]
	expiry, n := binary.Uvarint(content)
	if n <= 0 || expiry != 0 && now.Unix() >= int64(expiry) {
		return unpinned
	}
	return pin{
		backend: s.index(string(content[n:])),
		current: signer == 0,
		expiry:  expiry,
		aged:    expiry != 0 && time.Unix(int64(expiry), 0).Sub(now) < s.Session.MaxAge/2,
	}
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

// setCookie returns the Set-Cookie header that pins a client to a backend, as long as a cookie
// of that expiry has pinned it; 0: there was none.
func (s *Split) setCookie(backend int, f *Facts, expires uint64) string {
	ses := s.Session
	content := binary.AppendUvarint(nil, uint64(ses.Generation))
	var expiry uint64
	if ses.MaxAge > 0 {
		expiry = uint64(f.Now.Add(ses.MaxAge).Unix())
		if expires != 0 {
			expiry = min(expiry, expires)
		}
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
		attribute("Max-Age", strconv.FormatInt(int64(expiry)-f.Now.Unix(), 10))
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
