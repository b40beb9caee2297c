package declarative

import (
	"crypto/sha1"
	"encoding/hex"
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
func (s *schemas) addIDs(rows map[string]any, parent, parentID string) {
	for _, name := range entityOrder {
		if parent != "" && s.referring(name, parent) == "" {
			continue
		}
		list, _ := sequence(rows[name])
		for _, element := range list {
			row, ok := element.(map[string]any)
			if !ok {
				continue
			}
			if _, given := row["id"]; !given {
				if key, ok := s.uniqueKey(name, row, parent, parentID); ok {
					row["id"] = nameUUID(nameUUID(idNamespace, name), key)
				}
			}
			id, _ := row["id"].(string)
			s.addIDs(row, name, id)
		}
	}
}

// uniqueKey is the text that makes a row unique, where there is one.
func (s *schemas) uniqueKey(entity string, row map[string]any, parent, parentID string) (string, bool) {
	switch entity {
	case "plugins":
		return compoundKey(entity, []string{"name", "route", "service", "consumer"}, row, parent, parentID)
	case "targets":
		return compoundKey(entity, []string{"upstream", "target"}, row, parent, parentID)
	}
	key, ok := row[s.entities[entity].key].(string)
	return key, ok
}

// compoundKey joins the fields that make a row unique together.
func compoundKey(entity string, fields []string, row map[string]any, parent, parentID string) (string, bool) {
	parts := []string{entity, "*"}
	for _, name := range fields {
		value, given := row[name]
		text, isText := value.(string)
		switch {
		case isText:
			parts = append(parts, text)
		case given && value != nil:
			id, _ := lookup(row, name+".id")
			text, _ := id.(string)
			parts = append(parts, text)
		case name+"s" != parent:
			parts = append(parts, "")
		case parentID == "":
			return "", false
		default:
			parts = append(parts, parentID)
		}
	}
	return strings.Join(parts, ":"), true
}

// nameUUID is the name-based UUID of a name in a namespace, itself a UUID.
func nameUUID(namespace, name string) string {
	space, err := hex.DecodeString(strings.ReplaceAll(namespace, "-", ""))
	if err != nil {
		return ""
	}
	sum := sha1.Sum(append(space, name...))
	b := [16]byte(sum[:16])
	b[6], b[8] = b[6]&0x0f|0x50, b[8]&0x3f|0x80
	return formatUUID(b)
}
