package spec

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/dns/dnsmessage"
)

// A nameServer is a DNS server that knows some names, whose answers are good for a second.
type nameServer struct {
	variable string
	conn     net.PacketConn
	known    atomic.Pointer[map[string][]dnsmessage.ResourceBody]
}

// cmdDNS starts a DNS server, or has one that runs know other names. Of a name without
// addresses it says nothing at all.
func (s *scene) cmdDNS(args []string) error {
	const usage = "dns variable [name=[address,...|port@name,...]]..."
	if len(args) < 1 {
		return fmt.Errorf("usage: %s", usage)
	}
	known := map[string][]dnsmessage.ResourceBody{}
	for _, arg := range args[1:] {
		name, list, _ := strings.Cut(arg, "=")
		bodies, err := parseRecords(list)
		if err != nil {
			return fmt.Errorf("%w\nusage: %s", err, usage)
		}
		known[name+"."] = bodies
	}
	for _, n := range s.nameServers {
		if n.variable == args[0] {
			n.known.Store(&known)
			return nil
		}
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n := &nameServer{variable: args[0], conn: conn}
	n.known.Store(&known)
	s.nameServers = append(s.nameServers, n)
	s.ts.Setenv(args[0], conn.LocalAddr().String())
	s.ts.Defer(func() { _ = conn.Close() })
	go n.serve()
	return nil
}

func parseRecords(list string) (bodies []dnsmessage.ResourceBody, err error) {
	if list == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(list, ",") {
		if port, target, ok := strings.Cut(text, "@"); ok {
			number, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return nil, err
			}
			name, err := dnsmessage.NewName(target + ".")
			if err != nil {
				return nil, err
			}
			bodies = append(bodies, &dnsmessage.SRVResource{Priority: 1, Weight: 1, Port: uint16(number), Target: name})
			continue
		}
		address, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			return nil, err
		case address.Is4():
			bodies = append(bodies, &dnsmessage.AResource{A: address.As4()})
		default:
			bodies = append(bodies, &dnsmessage.AAAAResource{AAAA: address.As16()})
		}
	}
	return bodies, nil
}

// serve answers until the connection is closed.
func (n *nameServer) serve() {
	buffer := make([]byte, 512)
	for {
		length, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:length]) != nil || len(query.Questions) != 1 {
			continue
		}
		bodies, ok := (*n.known.Load())[strings.ToLower(query.Questions[0].Name.String())]
		if ok && len(bodies) == 0 {
			continue
		}
		if reply, err := answerDNS(&query, ok, bodies); err == nil {
			_, _ = n.conn.WriteTo(reply, from) // who lacks it asks again
		}
	}
}

func answerDNS(query *dnsmessage.Message, ok bool, bodies []dnsmessage.ResourceBody) ([]byte, error) {
	question := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	if !ok {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range bodies {
		kind := dnsmessage.TypeA
		switch body.(type) {
		case *dnsmessage.AAAAResource:
			kind = dnsmessage.TypeAAAA
		case *dnsmessage.SRVResource:
			kind = dnsmessage.TypeSRV
		}
		if kind == question.Type {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Type: kind, Class: dnsmessage.ClassINET, TTL: 1},
				Body:   body,
			})
		}
	}
	return reply.Pack()
}
