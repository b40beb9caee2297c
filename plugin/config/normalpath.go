package config

import (
	"encoding/hex"
	"strings"
)

// reserved are the bytes that Kong leaves escaped when it normalises a path
// (RFC 3986, section 2.2, and the % itself).
const reserved = "!*'();:@&=+$,/?%#[]"

// NormalPath is a path, or its beginning, as Kong has it when it routes: what is
// escaped without need is not, and the digits of the rest are in upper case.
// Kong also resolves . and .. and merges slashes, which NormalPath does not.
func NormalPath(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for path != "" {
		before, after, escaped := strings.Cut(path, "%")
		b.WriteString(before)
		if !escaped {
			break
		}
		path = after
		char, err := hex.DecodeString(after[:min(2, len(after))])
		switch {
		case err != nil || len(char) == 0: // no escape
			b.WriteByte('%')
			continue
		case strings.IndexByte(reserved, char[0]) >= 0:
			b.WriteString("%" + strings.ToUpper(after[:2]))
		default:
			b.WriteByte(char[0])
		}
		path = after[2:]
	}
	return b.String()
}
