package standin

import (
	"errors"
	"time"

	"kong-traffic-split/kong/declarative"
)

// balancerKey is where Kong keeps, in ngx.ctx, where a request is to go.
const balancerKey = "balancer_data"

// timeouts are those of one try.
type timeouts struct{ connect, write, read time.Duration }

func timeoutsOf(service *declarative.Service) timeouts {
	return timeouts{milliseconds(service.ConnectTimeout), milliseconds(service.WriteTimeout), milliseconds(service.ReadTimeout)}
}

// balancerData is the table that plugins see before the first try.
func (x *exchange) balancerData() map[string]any {
	b := &x.balancer
	ms := func(d time.Duration) float64 { return float64(d.Milliseconds()) }
	return map[string]any{
		"scheme": x.upstreamScheme, "type": b.kind, "host": b.host, "port": float64(b.port), "try_count": 0.0, "tries": map[string]any{},
		"retries": float64(b.retries), "connect_timeout": ms(b.connect), "send_timeout": ms(b.write), "read_timeout": ms(b.read),
	}
}

// setBalancerData takes a table in the place of the one that balancerData gives out.
// Where something is not there Kong fails later; this fails at once.
func (x *exchange) setBalancerData(value any) error {
	table, _ := value.(map[string]any)
	missing := table["tries"] == nil || table["try_count"] == nil
	number := func(key string) int {
		n, ok := table[key].(float64)
		missing = missing || !ok
		return int(n)
	}
	text := func(key string) string {
		s, ok := table[key].(string)
		missing = missing || !ok
		return s
	}
	b := x.balancer
	b.kind, b.host, b.port, b.retries = text("type"), text("host"), number("port"), number("retries")
	b.timeouts = timeouts{milliseconds(number("connect_timeout")), milliseconds(number("send_timeout")), milliseconds(number("read_timeout"))}
	if missing {
		return errors.New("balancer_data lacks something that Kong keeps there")
	}
	x.balancer = b
	return nil
}
