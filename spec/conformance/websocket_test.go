package conformance

import (
	"context"

	"golang.org/x/net/websocket"
)

// webSockets opens the suite's WebSockets, to the stand-ins.
type webSockets struct{ *cluster }

func (s webSockets) Dial(url, protocol, origin string) (*websocket.Conn, error) {
	config, err := websocket.NewConfig(url, origin)
	if err != nil {
		return nil, err
	}
	if protocol != "" {
		config.Protocol = []string{protocol}
	}
	conn, err := s.dial(context.Background(), "tcp", config.Location.Host)
	if err != nil {
		return nil, err
	}
	return websocket.NewClient(config, conn)
}

// message is what a frame holds.
type message struct {
	text []byte
	kind byte
}

var messages = websocket.Codec{
	Marshal: func(v any) ([]byte, byte, error) { m := v.(*message); return m.text, m.kind, nil },
	Unmarshal: func(text []byte, kind byte, v any) error {
		*v.(*message) = message{text, kind}
		return nil
	},
}

// echoMessages sends back each message, as the suite's image does.
var echoMessages = websocket.Server{Handler: func(conn *websocket.Conn) {
	var m message
	for messages.Receive(conn, &m) == nil && messages.Send(conn, &m) == nil {
	}
}}
