package standin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// redirect is Kong's plugin of that name.
func redirect(x *exchange, row *pluginRow) error {
	location, _ := row.config["location"].(string)
	if row.config["keep_incoming_path"] == true {
		u, err := url.Parse(location)
		if err != nil {
			return raise("%v", err) // Kong's URL parser has nil, of which it calls a method
		}
		location = withPath(u, x.path(), x.args)
	}
	status, _ := row.config["status_code"].(float64)
	x.exited, x.delayed = true, &answer{
		status: int(status), body: []byte("redirecting"), header: http.Header{"Location": {location}},
	}
	return errAnswered
}

// withPath is a URL with another path and query, in the form that browsers give it.
func withPath(u *url.URL, path, query string) string {
	out := u.Scheme + "://"
	if u.User != nil {
		out += u.User.String() + "@"
	}
	host := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if u.Scheme == scheme {
			host = strings.TrimSuffix(host, port)
		}
	}
	out += host + escapeBytes(path, "\"#<>?^`{} ")
	if query != "" {
		out += "?" + escapeBytes(query, "\"#<>' ")
	}
	if u.Fragment != "" {
		out += "#" + u.EscapedFragment()
	}
	return out
}

// escapeBytes escapes these bytes, and what is no printable ASCII.
func escapeBytes(text, which string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || strings.IndexByte(which, c) >= 0 {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// entries are those of a list in a transformer's config: names with their values.
func entries(config map[string]any, action, list string) (all [][2]string) {
	record, _ := config[action].(map[string]any)
	elements, _ := record[list].([]any)
	for _, element := range elements {
		pair, _ := element.(string)
		name, _, _ := strings.Cut(pair, ":")
		all = append(all, [2]string{name, strings.TrimLeft(pair[len(name):], ":")})
	}
	return all
}

// transformerActions are in the order in which they are done.
var transformerActions = []string{"remove", "rename", "replace", "add", "append"}

// unknownTransformation is a part of a transformer's config that is not done here.
func unknownTransformation(config map[string]any, lists ...string) error {
	for _, action := range transformerActions {
		for _, list := range lists {
			if len(entries(config, action, list)) > 0 {
				return raise("this gateway does not do %s.%s", action, list)
			}
		}
	}
	return nil
}

// refuseBodies refuses requests whose answer response-transformer would have to change
// the body of.
func refuseBodies(_ *exchange, row *pluginRow) error {
	return unknownTransformation(row.config, "json")
}

// transformResponse is Kong's plugin response-transformer, for headers.
func transformResponse(_ *exchange, row *pluginRow, header http.Header) {
	had := header.Clone() // Whether a header is there is asked of those that there were before.
	for _, e := range entries(row.config, "remove", "headers") {
		header.Del(e[0])
	}
	for _, e := range entries(row.config, "rename", "headers") {
		if values := had.Values(e[0]); len(values) > 0 && e[1] != "" {
			header[http.CanonicalHeaderKey(e[1])] = slices.Clone(values)
			header.Del(e[0])
		}
	}
	for _, e := range entries(row.config, "replace", "headers") {
		if len(had.Values(e[0])) > 0 && e[1] != "" {
			header.Set(e[0], e[1])
		}
	}
	for _, e := range entries(row.config, "add", "headers") {
		if len(had.Values(e[0])) == 0 && e[1] != "" {
			header.Set(e[0], e[1])
		}
	}
	for _, e := range entries(row.config, "append", "headers") {
		header.Add(e[0], e[1])
	}
}

// transformRequest is Kong's plugin request-transformer, for headers and a literal URI.
func transformRequest(x *exchange, row *pluginRow) error {
	if err := unknownTransformation(row.config, "body", "querystring"); err != nil {
		return err
	}
	if method, _ := row.config["http_method"].(string); method != "" {
		return raise("this gateway does not do http_method")
	}
	replaced, _ := row.config["replace"].(map[string]any)
	if uri, _ := replaced["uri"].(string); uri != "" {
		if err := literalOnly(uri); err != nil {
			return err
		}
		if _, err := setPath(x, uri); err != nil {
			return err
		}
	}
	for _, action := range transformerActions {
		for _, e := range entries(row.config, action, "headers") {
			if err := literalOnly(e[1]); err != nil {
				return err
			}
			x.transformHeader(action, e[0], e[1])
		}
	}
	return nil
}

func literalOnly(text string) error {
	if strings.Contains(text, "$(") {
		return raise("this gateway does not render templates: %s", text)
	}
	return nil
}

// transformHeader changes one header for the Service. The Host can be replaced only.
func (x *exchange) transformHeader(action, name, value string) {
	has := len(x.header.Values(name)) > 0
	isHost := strings.EqualFold(name, "host")
	switch action {
	case "remove":
		x.header.Del(name)
	case "rename":
		if values := x.header.Values(name); has && !isHost && !strings.EqualFold(name, value) {
			x.header.Del(name)
			x.header[http.CanonicalHeaderKey(value)] = values
		}
	case "replace":
		if isHost && value != "" {
			x.setHostHeader(name, value)
			x.putHeader(name, []string{value})
		} else if has && value != "" {
			x.header.Set(name, value)
		} else if has {
			x.header.Del(name)
		}
	case "add":
		if !has && !isHost && value != "" {
			x.header.Set(name, value)
		}
	case "append":
		if value != "" && !isHost {
			x.header.Add(name, value)
		}
	}
}
