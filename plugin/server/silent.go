package server

import "kong-traffic-split/kong/wire"

// silent are the methods whose reply says nothing, so that nobody has to wait for
// it, each by its own name.
var silent = func() map[string]string {
	methods := map[string]string{}
	for _, m := range wire.Methods {
		if m.Silent() {
			methods[m.Name] = m.Name
		}
	}
	return methods
}()
