// Traffic-split for gateways that are still on Kong 2.x: a shared object that
// go-pluginserver loads. It owns what is particular about that: the phases and
// the PDK of go-pdk 0.6. The configuration and the decisions are those of
// plugin/config and plugin/split.
package main

// What go-pluginserver looks up besides New: the same as Kong 3 is told.
var (
	Version  = "0.1.0"
	Priority = 20
)

// New is called by go-pluginserver once for the schema and once for each
// instance. The latter's config is then decoded into it.
func New() any { return &Plugin{} }

func main() {}
