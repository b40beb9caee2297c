package server

import (
	"testing"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
)

// Names as Kong's own code makes them of the protocol, from recorded frames and
// from go-pdk.
func TestSilentMethods(t *testing.T) {
	for name, want := range map[string]bool{
		"kong.service.set_target":          true,
		"kong.service.request.set_headers": true,
		"kong.service.request.set_scheme":  true,
		"kong.service.request.set_path":    true,
		"kong.response.add_header":         true,
		"kong.ctx.shared.set":              true,
		"kong.log.err":                     true,
		"kong.log.set_serialize_value":     true,
		"kong.client.authenticate":         true,

		"kong.response.exit":              false, // Kong closes the connection instead of a reply
		"kong.service.set_upstream":       false, // whether there is one
		"kong.ctx.shared.get":             false,
		"kong.nginx.set_ctx":              false,
		"kong.nginx.get_tls1_version_str": false,
		"kong.ip.is_trusted":              false,
		"kong.response.get_status":        false,
		"kong.no.such_method":             false,
	} {
		if got := silent[name] == name; got != want {
			t.Errorf("%s returns nothing: %v, want %v", name, got, want)
		}
	}
}

// Every method of the protocol is either one that returns nothing, or one whose
// reply is waited for.
func TestNoMethodIsMissing(t *testing.T) {
	methods := pdkMethods()
	declared := pb.File_server_kong_plugin_protocol_pluginsocket_proto.Services().Get(0).Methods().Len()
	if len(methods) != declared {
		t.Errorf("%d names for the %d methods of the protocol", len(methods), declared)
	}
	for name, method := range methods {
		nothing := method.Output().Name() == "Empty" && name != exitMethod
		if _, ok := silent[name]; ok != nothing {
			t.Errorf("%s returns %s, and is silent: %v", name, method.Output().Name(), ok)
		}
	}
}
