package standin

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// phasesOfClient are those after authentication.
var phasesOfClient = phaseSet{access: true, log: true, names: "access, response, header_filter, body_filter, log"}

var clientMethods = map[string]pdkMethod{
	"client.get_ip":             {anyPhase, false, text(func(x *exchange) string { return x.realIP })},
	"client.get_forwarded_ip":   {anyPhase, false, text(func(x *exchange) string { return x.clientIP })},
	"client.get_port":           {anyPhase, false, integer(func(x *exchange) int { return portNumber(x.realPort) })},
	"client.get_forwarded_port": {anyPhase, false, integer(func(x *exchange) int { return portNumber(x.clientPort) })},
	"client.get_credential": {phasesOfClient, true, func(x *exchange, _ []byte) ([]byte, error) {
		return encodeEntity(x.credential, credentialFields), nil
	}},
	"client.get_consumer": {phasesOfClient, true, func(x *exchange, _ []byte) ([]byte, error) {
		return encodeEntity(x.consumer, consumerFields), nil
	}},
	"client.load_consumer": {phasesOfClient, true, loadConsumer},
	"client.authenticate":  {phasesOfAccess, false, authenticate},
	"client.get_protocol":  {phasesOfClient, false, getProtocol},
	"ip.is_trusted": {anyPhase, true, withText(func(x *exchange, ip string) ([]byte, error) {
		return encodeBool(x.gateway.trusts(ip)), nil
	})},
	"node.get_id": {anyPhase, true, text(func(x *exchange) string { return x.gateway.nodeID })},
}

func portNumber(text string) int {
	n, _ := strconv.Atoi(text) // empty behind a proxy that did not tell
	return n
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// loadConsumer finds a consumer by id or, if asked to, by name.
func loadConsumer(x *exchange, args []byte) ([]byte, error) {
	id, byUsername, err := decodeTarget(args)
	if err != nil {
		return nil, err
	}
	isID := uuidPattern.MatchString(id)
	if !isID && byUsername == 0 {
		return nil, raise("cannot load a consumer with an id that is not a uuid")
	}
	for _, consumer := range x.gen.config.Consumers {
		if isID && consumer.ID == id || byUsername != 0 && consumer.Username == id {
			return encodeEntity(consumer.Row, consumerFields), nil
		}
	}
	return nil, nil
}

func authenticate(x *exchange, args []byte) ([]byte, error) {
	var consumer, credential []byte
	err := visit(args, func(field protowire.Number, _ uint64, bytes []byte) {
		switch field {
		case 1:
			consumer = append([]byte{}, bytes...)
		case 2:
			credential = append([]byte{}, bytes...)
		}
	})
	if err != nil {
		return nil, err
	}
	if consumer == nil && credential == nil {
		return nil, raise("either credential or consumer must be provided")
	}
	if x.consumer, err = decodeEntity(consumer, consumerFields); err != nil {
		return nil, err
	}
	x.credential, err = decodeEntity(credential, credentialFields)
	return nil, err
}

// getProtocol is the route's only protocol, or how the client came.
func getProtocol(x *exchange, args []byte) ([]byte, error) {
	allowTerminated, err := decodeInt(args)
	switch {
	case err != nil:
		return nil, err
	case x.route == nil:
		return nil, nil
	case len(x.route.Protocols) == 1:
		return encodeText(x.route.Protocols[0]), nil
	case x.tls != nil:
		return encodeText("https"), nil
	}
	claims := x.header.Values("X-Forwarded-Proto")
	if allowTerminated != 0 && x.gateway.trusts(x.realIP) && len(claims) > 0 {
		if strings.Contains(strings.Join(claims, ","), ",") {
			return nil, nil
		}
		if slices.Contains(claims, "https") {
			return encodeText("https"), nil
		}
	}
	return encodeText("http"), nil
}
