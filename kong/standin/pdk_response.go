package standin

import (
	"cmp"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// source is where the answer comes from.
func (x *exchange) source() string {
	switch {
	case x.unexpected:
		return "error"
	case x.exited:
		return "exit"
	case x.proxied:
		return "service"
	}
	return "error"
}

func getStatus(x *exchange, _ []byte) ([]byte, error) { return encodeInt(x.status), nil }

func checkStatus(status int) error {
	if status < 100 || status > 599 {
		return raise("code must be a number between 100 and 599")
	}
	return nil
}

// isTransferEncoding reports whether it is the one header that cannot be set, and
// logs that it is ignored.
func (x *exchange) isTransferEncoding(name string) bool {
	name = strings.ToLower(name)
	if name != "transfer-encoding" && name != "transfer_encoding" {
		return false
	}
	x.kongLog(levelWarn, "response.lua", "manually setting Transfer-Encoding. Ignored.")
	return true
}

func setResponseHeader(x *exchange, name string, value any) error {
	if err := checkHeader(name, value); err != nil {
		return err
	}
	if !x.isTransferEncoding(name) {
		x.response[http.CanonicalHeaderKey(name)] = headerValues(value)
	}
	return nil
}

func addResponseHeader(x *exchange, name string, value any) error {
	if err := checkHeader(name, value); err != nil {
		return err
	}
	for _, v := range headerValues(value) {
		x.response.Add(name, v)
	}
	return nil
}

// exit answers the client in the Service's place, and ends the exchange with
// the plugin server.
func exit(x *exchange, args []byte) ([]byte, error) {
	a, headers, err := decodeExit(args)
	if err == nil {
		err = checkStatus(a.status)
	}
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
		if !x.isTransferEncoding(name) {
			a.header[http.CanonicalHeaderKey(name)] = headerValues(value)
		}
	}
	x.exited, x.delayed = true, a
	return nil, errAnswered
}

// decodeExit decodes the arguments of response.exit: an answer without a header,
// and the header.
func decodeExit(args []byte) (*answer, map[string]any, error) {
	a := &answer{body: []byte{}, header: http.Header{}}
	var headers map[string]any
	var inner error
	err := visit(args, func(field protowire.Number, number uint64, bytes []byte) {
		switch field {
		case 1:
			a.status = int(int32(number))
		case 2:
			a.body = append([]byte{}, bytes...)
		case 3:
			headers, inner = decodeStruct(bytes)
		}
	})
	return a, headers, cmp.Or(err, inner)
}
