package server

import (
	"regexp"
	"strings"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// silent are the methods of Kong's PDK that return nothing, each by its own
// name, from the protocol's own description. Kong replies to them, with an empty
// frame, but reads on from what it has received already: nobody has to wait for
// that reply.
//
// The exception is an exit, after which Kong closes the connection.
var silent = func() map[string]string {
	methods := map[string]string{}
	for name, method := range pdkMethods() {
		if method.Output().FullName() == "google.protobuf.Empty" && name != exitMethod {
			methods[name] = name
		}
	}
	return methods
}()

// pdkMethods are all methods of Kong's PDK by the names that Kong's Lua code
// makes of those of the protocol.
func pdkMethods() map[string]protoreflect.MethodDescriptor {
	word := regexp.MustCompile(`([a-z][0-9]*)([A-Z])`)
	methods := map[string]protoreflect.MethodDescriptor{}
	services := pb.File_server_kong_plugin_protocol_pluginsocket_proto.Services()
	for i := range services.Len() {
		service := services.Get(i)
		for j := range service.Methods().Len() {
			method := service.Methods().Get(j)
			name, _ := proto.GetExtension(method.Options(), pb.E_MethodName).(string)
			if name == "" {
				name = string(service.Name()) + "." + strings.ReplaceAll(string(method.Name()), "_", ".")
				name = strings.ToLower(word.ReplaceAllString(name, "${1}_${2}"))
			}
			methods[name] = method
		}
	}
	return methods
}
