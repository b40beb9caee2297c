package standin

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"kong-traffic-split/kong/declarative"
)

// maxConfig is how long a declarative configuration may be.
const maxConfig = 64 << 20

// adminGetConfig answers with the present configuration as a file.
func (g *Gateway) adminGetConfig(w http.ResponseWriter, _ *http.Request) {
	text, err := g.current.Load().config.File().YAML()
	if err != nil {
		adminMessage(w, http.StatusInternalServerError, "An unexpected error occurred")
		return
	}
	adminAnswer(w, http.StatusOK, map[string]any{"config": string(text)})
}

// adminPostConfig replaces the configuration. No request is lost.
func (g *Gateway) adminPostConfig(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxConfig)
	text, status, message := readConfig(r)
	if message != "" {
		adminMessage(w, status, message)
		return
	}
	hash := configHash(text)
	if r.FormValue("check_hash") == "1" && hash == g.current.Load().hash {
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
	invalid, isInvalid := errors.AsType[*declarative.InvalidError](err)
	switch {
	case isInvalid:
		adminAnswer(w, http.StatusBadRequest, invalid.Response(isTruthy(r.FormValue("flatten_errors"))))
	case err != nil:
		g.log.kong(levelError, "config.lua", "failed loading declarative config into cache: %v", err)
		adminMessage(w, http.StatusInternalServerError, "An unexpected error occurred")
	default:
		adminAnswer(w, http.StatusCreated, config.ByID())
	}
}

// readConfig finds the configuration in a request: a field "config" of a form
// or of JSON, or else the whole body. What may stand beside it, flatten_errors and
// check_hash, is a value of the request's form. A message says why it is refused.
func readConfig(r *http.Request) (text []byte, status int, message string) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, http.StatusRequestEntityTooLarge, "Payload too large"
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	_ = r.ParseMultipartForm(maxConfig) // of what is no form, it reads the query
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			return nil, http.StatusBadRequest, "Cannot parse JSON body"
		}
		for _, name := range []string{"flatten_errors", "check_hash"} {
			if value, ok := fields[name]; ok {
				r.Form.Set(name, luaString(value))
			}
		}
		if config, ok := fields["config"].(string); ok {
			text = []byte(config)
		}
	case "multipart/form-data":
		text = []byte(r.FormValue("config"))
		if file, _, err := r.FormFile("config"); err == nil {
			text, _ = io.ReadAll(file) // it is in memory
		}
	case "application/x-www-form-urlencoded":
		// There is no such field in a body that is something else than it says, such as
		// the YAML that `curl --data-binary` sends.
		text = []byte(cmp.Or(r.PostFormValue("config"), string(text)))
	case "application/yaml", "text/yaml":
	default:
		return nil, http.StatusUnsupportedMediaType, "Unsupported media type"
	}
	if len(text) == 0 {
		return nil, http.StatusBadRequest, "expected a declarative configuration"
	}
	return text, 0, ""
}

// configHash is that of a configuration's text.
func configHash(text []byte) string {
	sum := md5.Sum(text)
	return hex.EncodeToString(sum[:])
}
