package standin

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The sizes of a page.
const (
	pageSize    = 100
	maxPageSize = 1000
)

// adminList lists the rows of an entity, a page at a time. They cannot be changed one by one.
func (g *Gateway) adminList(entity string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		adminPage(w, r, g.current.Load().config.Rows[entity])
	}
}

// adminPage answers with the rows that have the tags of the query, from its offset on.
func adminPage(w http.ResponseWriter, r *http.Request, rows []map[string]any) {
	query := r.URL.Query()
	size, offset := pageSize, 0
	if text := query.Get("size"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
			adminInvalid(w, 9, "invalid size", "size must be a number")
			return
		case n != float64(int(n)) || n < 1 || n > maxPageSize:
			adminInvalid(w, 9, "invalid size", fmt.Sprintf("size must be an integer between 1 and %d", maxPageSize))
			return
		}
		size = int(n)
	}
	if text := query.Get("offset"); text != "" {
		decoded, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			offset, err = strconv.Atoi(string(decoded))
		}
		if err != nil || offset < 0 {
			adminInvalid(w, 7, "invalid offset", "'"+text+"' is not a valid offset: bad base64 encoding")
			return
		}
	}
	if tags := query.Get("tags"); tags != "" {
		// Without a database, Kong 3.9 fails over a row that has no tags.
		hasUntagged := slices.ContainsFunc(rows, func(row map[string]any) bool { return row["tags"] == nil })
		var ok bool
		if rows, ok = tagged(rows, tags); !ok {
			adminAnswer(w, http.StatusBadRequest, map[string]any{
				"code": 11, "name": "invalid options", "options": map[string]any{"tags": "invalid filter syntax"},
				"message": "invalid option (tags: invalid filter syntax)",
			})
			return
		}
		if hasUntagged {
			adminMessage(w, http.StatusInternalServerError, "An unexpected error occurred")
			return
		}
	}
	answer := map[string]any{"next": nil}
	rows = rows[min(offset, len(rows)):]
	if len(rows) > size {
		rows = rows[:size]
		next := base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(offset + size)))
		query.Set("offset", next)
		answer["offset"] = next
		answer["next"] = (&url.URL{Path: r.URL.Path, RawQuery: query.Encode()}).String()
	}
	answer["data"] = append([]map[string]any{}, rows...)
	adminAnswer(w, http.StatusOK, answer)
}

func adminInvalid(w http.ResponseWriter, code int, name, message string) {
	adminAnswer(w, http.StatusBadRequest, map[string]any{"code": code, "name": name, "message": message})
}

// tagged are the rows with all tags of a,b, or with one of a/b. ok is false if the filter is
// neither.
func tagged(rows []map[string]any, filter string) (found []map[string]any, ok bool) {
	every := !strings.Contains(filter, "/")
	wanted := strings.FieldsFunc(filter, func(r rune) bool { return r == ',' || r == '/' })
	if len(wanted) == 0 || strings.Contains(filter, "/") && strings.Contains(filter, ",") || len(wanted) != strings.Count(filter, ",")+strings.Count(filter, "/")+1 {
		return nil, false
	}
	for _, row := range rows {
		tags, _ := row["tags"].([]any)
		has := 0
		for _, tag := range wanted {
			if slices.Contains(tags, any(tag)) {
				has++
			}
		}
		if has == len(wanted) || has > 0 && !every {
			found = append(found, row)
		}
	}
	return found, true
}

// adminRow is one row, by its id or name.
func (g *Gateway) adminRow(entity string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if row := g.row(entity, r.PathValue("id")); row != nil {
			adminAnswer(w, http.StatusOK, row)
			return
		}
		adminMessage(w, http.StatusNotFound, "Not found")
	}
}

func (g *Gateway) row(entity, wanted string) map[string]any {
	for _, row := range g.current.Load().config.Rows[entity] {
		if row["id"] == wanted || row["username"] == wanted || entity != "plugins" && row["name"] == wanted {
			return row
		}
	}
	return nil
}

// targetsOf are the targets of the Upstream that a path names; nil: there is no such one, as
// the client was told.
func (g *Gateway) targetsOf(w http.ResponseWriter, r *http.Request) []map[string]any {
	upstream := g.row("upstreams", r.PathValue("id"))
	if upstream == nil {
		adminMessage(w, http.StatusNotFound, "Not found")
		return nil
	}
	targets := []map[string]any{}
	for _, row := range g.current.Load().config.Rows["targets"] {
		if of, _ := row["upstream"].(map[string]any); of["id"] == upstream["id"] {
			targets = append(targets, row)
		}
	}
	return targets
}

func (g *Gateway) adminTargets(w http.ResponseWriter, r *http.Request) {
	if targets := g.targetsOf(w, r); targets != nil {
		adminPage(w, r, targets)
	}
}

// adminHealth is the health of an Upstream's targets: the stand-in checks none.
func (g *Gateway) adminHealth(w http.ResponseWriter, r *http.Request) {
	targets := g.targetsOf(w, r)
	if targets == nil {
		return
	}
	out := make([]map[string]any, len(targets))
	for i, target := range targets {
		out[i] = map[string]any{"health": "HEALTHCHECKS_OFF"}
		for key, value := range target {
			out[i][key] = value
		}
	}
	adminAnswer(w, http.StatusOK, map[string]any{"data": out, "next": nil, "node_id": g.nodeID})
}
