package gateway

import "fmt"

// everything is the contestant with most of what a row may have: a force header that its
// client does not send, rules that do not hold for it, a hash that its client no longer needs, as it has a session
// already, and a backend that differs in path and headers.
func everything(ports []int) contestant {
	backend := func(name string, i, weight int) object {
		return object{
			"name": name, "host": loopback, "port": ports[i], "weight": weight, "path": "/v2",
			"request_headers": object{"set": object{"X-Variant": name}, "remove": []string{"X-Debug"}},
		}
	}
	return contestant{
		name: "everything", plugin: ours, returning: true,
		config: object{
			"force_header": "X-Force",
			"rules": []object{
				{"match": object{"headers": object{"X-Beta": []string{"yes"}}}, "backend": "canary"},
				{"match": object{"cookies": object{"beta": []string{"1"}}}, "backend": "canary"},
			},
			"hash_on":         "ip",
			"session":         object{"secret": "thirty-two letters, more or less"},
			"response_header": "X-Backend",
			"log_decision":    true,
			"backends":        []object{backend("stable", 0, 90), backend("canary", 1, 10)},
		},
		answers: map[string]float64{ // one of these, by the client's address
			fmt.Sprintf("a %s:%d /v2/orders variant=stable debug=", loopback, ports[0]): .9,
			fmt.Sprintf("b %s:%d /v2/orders variant=canary debug=", loopback, ports[1]): .1,
		},
	}
}
