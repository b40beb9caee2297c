package wire

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The list says of each method what go-pdk's own description of the protocol says.
func TestMethodsAreThoseOfTheProtocol(t *testing.T) {
	described := describedMethods()
	for _, m := range Methods {
		d, ok := described[m.Name]
		if !ok {
			t.Errorf("%s: there is no such method", m.Name)
			continue
		}
		if got, want := m.Args.ProtoReflect().Descriptor().FullName(), d.Input().FullName(); got != want {
			t.Errorf("%s: its arguments are a %s, not a %s", m.Name, want, got)
		}
		reply := protoreflect.FullName("google.protobuf.Empty")
		if m.Reply != nil {
			reply = m.Reply.ProtoReflect().Descriptor().FullName()
		}
		if want := d.Output().FullName(); reply != want && !returnsNothing[m.Name] {
			t.Errorf("%s: its reply is a %s, not a %s", m.Name, want, reply)
		}
	}
	if !slices.IsSortedFunc(Methods, func(a, b Method) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the list is not sorted by name, so that one may be there twice")
	}
}

// returnsNothing are methods for which the protocol has a reply, and Kong's function
// returns none, so that the frame is empty all the same.
var returnsNothing = map[string]bool{"kong.nginx.set_ctx": true}

func TestSilentMethods(t *testing.T) {
	for _, m := range Methods {
		d := describedMethods()[m.Name]
		if want := (d.Output().FullName() == "google.protobuf.Empty" || returnsNothing[m.Name]) && m.Name != "kong.response.exit"; m.Silent() != want {
			t.Errorf("%s is silent: %v, want %v", m.Name, m.Silent(), want)
		}
	}
}

// describedMethods are all methods of Kong's PDK by the names that Kong's Lua code
// makes of those of the protocol.
func describedMethods() map[string]protoreflect.MethodDescriptor {
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
