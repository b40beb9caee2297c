package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// rowHeader has the name of the row that a request of alike is for.
const rowHeader = "X-Row"

// cmdAlike sends each request twice: to the route whose Service has the backend, and
// to the one whose split has it. The backend has to receive the same, or the gateway
// to answer the same.
func (s *scene) cmdAlike(args []string) error {
	var r request
	args, err := parse(requestFlags("alike", &r), args, "alike [flags of request] row path...", 2, math.MaxInt)
	if err != nil {
		return err
	}
	if s.gateway == nil {
		return errors.New("no gateway is running")
	}
	var different error
	for _, path := range args[1:] {
		seen := map[string]any{}
		for _, whose := range []string{"service", "split"} {
			one := r
			one.target = unescape(path)
			one.headers = append(r.headers[:len(r.headers):len(r.headers)], rowHeader+": "+args[0]+"-"+whose)
			answer, err := s.exchange(one)
			if err != nil {
				return err
			}
			seen[whose] = whatIsSeen(answer)
		}
		if diff := cmp.Diff(seen["service"], seen["split"]); diff != "" {
			different = errors.Join(different, fmt.Errorf("row %s, path %q (-service +split)\n%s", args[0], path, diff))
		}
	}
	return different
}

// whatIsSeen is what a backend has received, without what differs from request to
// request; or what else the answer says.
func whatIsSeen(a answer) any {
	var report struct {
		Path, Host, Method, Proto, SNI string
		Headers                        http.Header
	}
	if json.Unmarshal(a.body, &report) != nil || report.Proto == "" {
		return fmt.Sprintf("%d %s", a.status, withoutRequestID(string(a.body)))
	}
	for _, name := range []string{rowHeader, "X-Kong-Request-Id"} {
		report.Headers.Del(name)
	}
	return report
}

// withoutRequestID cuts off what Kong says of a request's own id.
func withoutRequestID(body string) string {
	body, _, _ = strings.Cut(body, "request_id")
	return body
}
