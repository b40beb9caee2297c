package standin

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"

	"kong-traffic-split/kong/declarative"
)

// keyAuth is Kong's plugin key-auth, for keys in headers and in the query.
func keyAuth(x *exchange, row *pluginRow) error {
	config := row.config
	if config["run_on_preflight"] == false && x.r.Method == http.MethodOptions {
		return nil
	}
	anonymous, _ := config["anonymous"].(string)
	if anonymous != "" && x.credential != nil {
		return nil // another plugin has authenticated the request
	}
	credential, refusal := x.findCredential(config)
	switch {
	case refusal == "":
		x.authenticate(findConsumer(x.gen.config, credential.Consumer.ID), credential)
		return nil
	case anonymous != "":
		consumer := findConsumer(x.gen.config, anonymous)
		if consumer == nil {
			return raise("anonymous consumer %s not found", anonymous)
		}
		x.authenticate(consumer, nil)
		return nil
	}
	challenge := "Key"
	if realm, _ := config["realm"].(string); realm != "" {
		challenge += ` realm="` + realm + `"`
	}
	return x.respondError(http.StatusUnauthorized, refusal, http.Header{"Www-Authenticate": {challenge}})
}

// findCredential finds the credential whose key is in the request, or returns why
// Kong refuses the request.
func (x *exchange) findCredential(config map[string]any) (*declarative.Credential, string) {
	key, refusal := x.findKey(config)
	if refusal != "" {
		return nil, refusal
	}
	for _, credential := range x.gen.config.Credentials {
		if credential.Key == key {
			return credential, ""
		}
	}
	return nil, "Unauthorized"
}

func (x *exchange) findKey(config map[string]any) (key, refusal string) {
	names, _ := config["key_names"].([]any)
	args := parseArgs(x.args, maxArgs)
	for _, element := range names {
		name, _ := element.(string)
		var value any
		if config["key_in_header"] == true {
			value = lowerHeader(x.header, -1)[strings.ToLower(name)]
		}
		if value == nil && config["key_in_query"] == true {
			value = args[name]
		}
		switch v := value.(type) {
		case []any:
			return "", "Duplicate API key found"
		case string:
			if config["hide_credentials"] == true {
				x.dropArg(name)
				x.header.Del(name)
			}
			if v == "" {
				return "", "No API key found in request"
			}
			return v, ""
		}
	}
	return "", "No API key found in request"
}

// findConsumer finds a consumer by id or name, or nil.
func findConsumer(config *declarative.Config, id string) *declarative.Consumer {
	for _, consumer := range config.Consumers {
		if consumer.ID == id || consumer.Username == id {
			return consumer
		}
	}
	return nil
}

// authenticate makes the request one of a consumer, and tells the Service by headers.
func (x *exchange) authenticate(consumer *declarative.Consumer, credential *declarative.Credential) {
	x.consumer, x.credential = consumer.Row, nil
	headers := map[string]string{
		"X-Consumer-Id":           consumer.ID,
		"X-Consumer-Custom-Id":    consumer.CustomID,
		"X-Consumer-Username":     consumer.Username,
		"X-Credential-Identifier": "",
		"X-Anonymous-Consumer":    "",
	}
	if credential != nil {
		x.credential = credential.Row
		headers["X-Credential-Identifier"] = credential.ID
	} else {
		headers["X-Anonymous-Consumer"] = "true"
	}
	setHeaders(x.header, headers)
}

// terminationMessages are those of request-termination where it is given none.
var terminationMessages = map[int]string{
	401: "Unauthorized", 404: "Not found", 405: "Method not allowed",
	500: "An unexpected error occurred", 502: "Bad Gateway", 503: "Service unavailable",
}

// terminate is Kong's plugin request-termination, without its echo.
func terminate(x *exchange, row *pluginRow) error {
	if trigger, _ := row.config["trigger"].(string); trigger != "" && !x.isTriggered(trigger) {
		return nil
	}
	status, _ := row.config["status_code"].(float64)
	a := &answer{status: int(status), header: http.Header{}}
	body, _ := row.config["body"].(string)
	message, _ := row.config["message"].(string)
	message = cmp.Or(message, terminationMessages[a.status])
	switch {
	case body != "":
		a.body = []byte(body)
		if kind, _ := row.config["content_type"].(string); kind != "" {
			a.header.Set("Content-Type", kind)
		}
	case message != "" && x.isGRPC():
		a.body = []byte(message)
	case message != "":
		text, err := encodeJSON(map[string]string{"message": message})
		if err != nil {
			return raise("%v", err)
		}
		a.body = text
		a.header.Set("Content-Type", typeJSON)
	}
	x.exited, x.delayed = true, a
	return errAnswered
}

// isTriggered reports whether the request has a header or an argument of that
// name.
func (x *exchange) isTriggered(name string) bool {
	dashed := strings.ReplaceAll(name, "_", "-")
	return x.header.Values(dashed) != nil || parseArgs(x.args, maxArgs)[name] != nil
}

// logFiles are those that the plugin file-log writes to.
type logFiles struct {
	mu   sync.Mutex
	open map[string]*os.File
}

// log is Kong's plugin file-log: a line of JSON for each request.
func (l *logFiles) log(x *exchange, row *pluginRow) error {
	line, err := x.serialize()
	if err != nil {
		return err
	}
	path, _ := row.config["path"].(string)
	l.mu.Lock()
	defer l.mu.Unlock()
	if row.config["reopen"] == true && l.open[path] != nil {
		_ = l.open[path].Close()
		delete(l.open, path)
	}
	if l.open[path] == nil {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return errors.New("failed to open the file: " + luaError(err))
		}
		if l.open == nil {
			l.open = map[string]*os.File{}
		}
		l.open[path] = f
	}
	_, err = l.open[path].Write(append(line, '\n'))
	return err
}

func (l *logFiles) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.open {
		_ = f.Close()
	}
}
