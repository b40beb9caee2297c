package status

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"strings"
	"unicode"
)

// The page is one document that needs nothing else. Its template has a definition for the
// document and one for each kind of section of what it shows: the document is made of the
// same sections that are sent when they change.
//
//go:embed page.html
var pageText string

var (
	pageTemplate = template.Must(template.New("").Parse(pageText))
	// pagePolicy allows the page its own style and script. pageEdition names these: a page
	// that is open is loaded anew when the server has another edition, as after an upgrade.
	pagePolicy, pageEdition = policy()
)

// A section is a part of what the page shows.
type section struct {
	id   string // of its element
	html string
}

// sections renders a report.
func sections(r *Report) []section {
	v := newView(r)
	all := []section{
		{"now", render("now", v)},
		{"wrong", render("wrong", v)},
		{"none", render("none", v)},
	}
	for _, s := range v.Splits {
		all = append(all, section{s.ID, render("split", s)})
	}
	return append(all, section{"left", render("left", v)}, section{"changes", render("changes", v)}, section{"server", render("server", v)})
}

// render executes a template. Names and errors may have any character: those that nobody
// sees, or that change how others are read, become visible.
func render(name string, data any) string {
	var text bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&text, name, data); err != nil {
		panic(err) // the template is wrong
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text.String())
}

// document returns the page with these sections.
func document(all []section, title string) string {
	var text strings.Builder
	for _, s := range all {
		text.WriteString(s.html)
	}
	return render("document", map[string]any{
		"Title": title, "Edition": pageEdition, "Sections": template.HTML(text.String()), // from html/template
	})
}

// policy returns the Content-Security-Policy by which the document may use its own style
// and script, and nothing else, and the name of the edition.
func policy() (policy, edition string) {
	document := render("document", nil)
	hash := func(element string) string {
		_, text, _ := strings.Cut(document, "<"+element+">")
		text, _, _ = strings.Cut(text, "</"+element+">")
		sum := sha256.Sum256([]byte(text))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	style, script := hash("style"), hash("script")
	return "default-src 'none'; style-src 'sha256-" + style + "'; script-src 'sha256-" + script + "'; " +
		"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", style[:8] + script[:8]
}

// secured has a browser keep what is shown to itself.
func secured(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", pagePolicy)
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// writeDocument writes the page about a report.
func writeDocument(to io.Writer, r *Report) error {
	_, err := io.WriteString(to, document(sections(r), newView(r).Title()))
	return err
}
