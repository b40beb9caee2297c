package wire

import (
	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Method is a function of Kong's PDK that a plugin calls on the socket: in one
// frame its name, in the next its arguments. Kong replies with one frame.
type Method struct {
	Name string
	Args proto.Message // of what type, as a nil pointer
	// Reply likewise; nil: Kong's reply says nothing, so that nobody has to wait for
	// it. Kong reads on from what it has received already.
	Reply proto.Message
}

// Exit is the method after which Kong answers the client, and closes the
// connection instead of replying.
const Exit = "kong.response.exit"

// RawBody is the method to which Kong replies only when the client has sent all of its body.
const RawBody = "kong.request.get_raw_body"

// Silent reports whether the frame that Kong replies with is empty.
func (m Method) Silent() bool { return m.Reply == nil && m.Name != Exit }

// Types of arguments and replies.
var (
	none     = (*emptypb.Empty)(nil)
	text     = (*pb.String)(nil)
	integer  = (*pb.Int)(nil)
	keyValue = (*pb.KV)(nil)
	value    = (*structpb.Value)(nil)
	table    = (*structpb.Struct)(nil)
	list     = (*structpb.ListValue)(nil)
)

// Methods are all that this project's plugin and its server call, and so all that
// the stand-in gateway offers. A call of another method is added here first.
var Methods = []Method{
	{"kong.client.get_consumer", none, (*pb.Consumer)(nil)},
	{"kong.client.get_credential", none, (*pb.AuthenticatedCredential)(nil)},
	{"kong.client.get_forwarded_ip", none, text},

	{"kong.ctx.shared.get", text, value},
	{"kong.ctx.shared.set", keyValue, nil},

	{"kong.log.err", list, nil},
	{"kong.log.set_serialize_value", keyValue, nil},
	{"kong.log.warn", list, nil},

	{"kong.nginx.get_ctx", text, value},
	{"kong.nginx.get_var", text, text},
	{"kong.nginx.set_ctx", keyValue, nil}, // a String that Kong's function never returns

	{"kong.request.get_forwarded_scheme", none, text},
	{"kong.request.get_header", text, text},
	{"kong.request.get_headers", integer, table},
	{"kong.request.get_method", none, text},
	{"kong.request.get_path", none, text},
	{RawBody, none, (*pb.RawBodyResult)(nil)},
	{"kong.request.get_raw_query", none, text},
	{"kong.request.get_uri_captures", none, (*pb.UriCapturesResult)(nil)},

	{"kong.response.add_header", keyValue, nil},
	{Exit, (*pb.ExitArgs)(nil), nil},
	{"kong.response.get_header", text, text},
	{"kong.response.get_source", none, text},
	{"kong.response.get_status", none, integer},
	{"kong.response.set_header", keyValue, nil},

	{"kong.service.request.add_header", keyValue, nil},
	{"kong.service.request.set_header", keyValue, nil},
	{"kong.service.request.set_headers", table, nil},
	{"kong.service.request.set_path", text, nil},
	{"kong.service.request.set_scheme", text, nil},
	{"kong.service.set_target", (*pb.Target)(nil), nil},
	{"kong.service.set_upstream", text, (*pb.Bool)(nil)}, // whether there is one
}
