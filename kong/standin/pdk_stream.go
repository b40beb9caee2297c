package standin

import (
	"fmt"
	"slices"
)

// exitCodes are those with which a stream can end.
var exitCodes = []int{200, 400, 403, 500, 502, 503}

// exitStream ends the connection, and the exchange with the plugin server. A body
// is the client's only where the status is no error.
func exitStream(x *exchange, args []byte) ([]byte, error) {
	a, _, err := decodeExit(args)
	if err == nil && !slices.Contains(exitCodes, a.status) {
		err = raise("unacceptable code, only 200, 400, 403, 500, 502 and 503 are accepted")
	}
	if err != nil {
		return nil, err
	}
	if a.status >= 400 {
		x.kongLog(levelError, "response.lua:830", fmt.Sprintf("unable to proxy stream connection, status: %d, err: %s", a.status, a.body))
	}
	x.exited, x.delayed = true, a
	return nil, errAnswered
}
