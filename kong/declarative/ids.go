package declarative

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
)

// DefaultWorkspace is the id of the workspace that every DB-less Kong has.
const DefaultWorkspace = "0dc6f45b-8f8d-40d2-a504-473544ee190b"

// idNamespace is where the ids of all entities begin in Kong.
const idNamespace = "fd02801f-0957-4a15-a55a-c8d9606f30b5"

// addIDs gives rows without an id the one that Kong gives them: a name-based
// UUID (RFC 9562, version 5) of what makes the row unique, so that it stays
// over reloads. A row that nothing makes unique, such as a route without a
// name, gets a random one each time, and so does what is inside of it.
func (f File) addIDs() {
	for n := range f.nodes() {
		if _, given := n.row["id"]; given {
			continue
		}
		if key, ok := n.uniqueKey(); ok {
			n.row["id"] = nameUUID(nameUUID(idNamespace, n.entity), key)
		}
	}
}

// uniqueKey is the text that makes a row unique, where there is one.
func (n *node) uniqueKey() (string, bool) {
	fields := map[string][]string{
		"plugins": {"name", "route", "service", "consumer"},
		"targets": {"upstream", "target"},
	}[n.entity]
	if fields == nil {
		key, ok := n.row[entityKeys[n.entity]].(string)
		return key, ok
	}
	if n.forGroup() {
		return "", false // how Kong Enterprise makes one is not known
	}
	parts := []string{n.entity, "*"}
	for _, name := range fields {
		value := n.row[name]
		if table, ok := value.(map[string]any); ok {
			value = table["id"]
		}
		text, _ := value.(string)
		if n.row[name] == nil && n.outer != nil && name+"s" == n.outer.entity {
			if text, _ = n.outer.row["id"].(string); text == "" {
				return "", false
			}
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ":"), true
}

// forGroup reports whether a plugin's row is for the consumers of a group, as Kong Enterprise
// has them.
func (n *node) forGroup() bool { return n.entity == "plugins" && n.row["consumer_group"] != nil }

// nameUUID is the name-based UUID of a name in a namespace, itself a UUID.
func nameUUID(namespace, name string) string {
	space, err := hex.DecodeString(strings.ReplaceAll(namespace, "-", ""))
	if err != nil {
		return ""
	}
	sum := sha1.Sum(append(space, name...))
	return formatUUID([16]byte(sum[:16]), 5)
}

// NewUUID is a random UUID (version 4).
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return formatUUID(b, 4)
}

func formatUUID(b [16]byte, version byte) string {
	b[6], b[8] = b[6]&0x0f|version<<4, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
