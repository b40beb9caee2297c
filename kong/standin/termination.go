package standin

import (
	"cmp"
	"net/http"
	"strings"
)

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
