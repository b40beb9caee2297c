package gateway

import (
	"context"
	"fmt"
	"net"
)

// mirrored are contestants as ours0 whose requests are all copied: to a shadow that answers,
// and to one that takes connections and says nothing.
func mirrored(ports []int, answers map[string]float64, backends []object) []contestant {
	to := func(name string, port int) contestant {
		return contestant{name: name, plugin: ours, answers: answers, config: object{
			"backends": backends, "mirror": []object{{"host": loopback, "port": port}},
		}}
	}
	return []contestant{to("mirror", ports[1]), to("hanging", ports[len(backendNames)])}
}

// hang listens where the shadow is that says nothing: the system takes its connections.
func (s *setup) hang(ctx context.Context, port int) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("%s:%d", loopback, port))
	if err == nil {
		s.ends = append(s.ends, l.Close)
	}
	return err
}
