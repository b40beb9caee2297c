module kong-traffic-split/legacy

go 1.26.0

require (
	github.com/Kong/go-pdk v0.11.2
	github.com/google/go-cmp v0.7.0
	github.com/ugorji/go/codec v1.2.14
	kong-traffic-split v0.0.0-00010101000000-000000000000
)

require (
	github.com/Kong/go-pluginserver v0.6.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
)

replace kong-traffic-split => ../

// The last one that speaks go-pluginserver's protocol, and exactly the one that
// go-pluginserver is built with. The root module's is a later one.
replace github.com/Kong/go-pdk => github.com/Kong/go-pdk v0.6.0

tool github.com/Kong/go-pluginserver
