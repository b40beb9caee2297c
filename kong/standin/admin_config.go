package standin

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"

	"kong-traffic-split/kong/declarative"
)

// maxConfig is how long a declarative configuration may be.
const maxConfig = 64 << 20

// adminGetConfig answers with the present configuration as a file.
func (g *Gateway) adminGetConfig(w http.ResponseWriter, _ *http.Request) {
	text, err := g.current.Load().config.File().YAML()
	if err != nil {
		adminAnswer(w, http.StatusInternalServerError, map[string]any{"message": "An unexpected error occurred"})
		return
	}
	adminAnswer(w, http.StatusOK, map[string]any{"config": string(text)})
}

// adminPostConfig replaces the configuration. No request is lost.
func (g *Gateway) adminPostConfig(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxConfig)
	text, params, err := readConfig(r)
	var refusal adminError
	if errors.As(err, &refusal) {
		adminAnswer(w, refusal.status, map[string]any{"message": refusal.message})
		return
	}
	hash := configHash(text)
	if params.Get("check_hash") == "1" && hash == g.current.Load().hash {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	file, err := declarative.Parse(text)
	if err != nil {
		adminAnswer(w, http.StatusBadRequest, map[string]any{
			"code": 14, "name": "invalid declarative configuration",
			"message": `declarative config is invalid: {error="` + err.Error() + `"}`,
			"fields":  map[string]any{"error": err.Error()},
		})
		return
	}
	config, err := g.load(file, hash)
	var invalid *declarative.InvalidError
	switch {
	case errors.As(err, &invalid):
		adminAnswer(w, http.StatusBadRequest, invalid.Response(isTruthy(params.Get("flatten_errors"))))
	case err != nil:
		g.log.kong(levelError, "config.lua", "failed loading declarative config into cache: %v", err)
		adminAnswer(w, http.StatusInternalServerError, map[string]any{"message": "An unexpected error occurred"})
	default:
		adminAnswer(w, http.StatusCreated, config.ByID())
	}
}

// adminError is an answer of the Admin API.
type adminError struct {
	status  int
	message string
}

func (e adminError) Error() string { return e.message }

// readConfig finds the configuration in a request: a field "config" of a form
// or of JSON, or else the whole body.
func readConfig(r *http.Request) (text []byte, params url.Values, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, adminError{http.StatusRequestEntityTooLarge, "Payload too large"}
	}
	kind, details, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	params = r.URL.Query()
	field := ""
	switch {
	case err != nil: // none, or one that cannot be read
		return nil, nil, adminError{http.StatusUnsupportedMediaType, "Unsupported media type"}
	case kind == "application/json":
		field, err = jsonField(body, params)
	case kind == "application/x-www-form-urlencoded":
		field = formField(body, params)
	case kind == "multipart/form-data":
		field, err = multipartField(body, details["boundary"], params)
	case kind != "application/yaml" && kind != "text/yaml":
		err = adminError{http.StatusUnsupportedMediaType, "Unsupported media type"}
	}
	if field != "" {
		body = []byte(field)
	}
	if err == nil && len(body) == 0 {
		err = adminError{http.StatusBadRequest, "expected a declarative configuration"}
	}
	return body, params, err
}

// configParams are what may stand beside the configuration.
var configParams = []string{"flatten_errors", "check_hash"}

func jsonField(body []byte, params url.Values) (string, error) {
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", adminError{http.StatusBadRequest, "Cannot parse JSON body"}
	}
	for _, name := range configParams {
		if value, ok := fields[name]; ok {
			params.Set(name, luaString(value))
		}
	}
	config, _ := fields["config"].(string)
	return config, nil
}

// formField is empty for a body that is something else than it says, such as
// the YAML that `curl --data-binary` sends.
func formField(body []byte, params url.Values) string {
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return ""
	}
	for _, name := range configParams {
		if fields.Has(name) {
			params.Set(name, fields.Get(name))
		}
	}
	return fields.Get("config")
}

func multipartField(body []byte, boundary string, params url.Values) (string, error) {
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	config := ""
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return config, nil
		} else if err != nil {
			return "", adminError{http.StatusBadRequest, "expected a declarative configuration"}
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return "", adminError{http.StatusBadRequest, "expected a declarative configuration"}
		}
		if name := part.FormName(); name == "config" {
			config = string(text)
		} else if slices.Contains(configParams, name) {
			params.Set(name, string(text))
		}
	}
}

// configHash is that of a configuration's text.
func configHash(text []byte) string {
	sum := md5.Sum(text)
	return hex.EncodeToString(sum[:])
}
