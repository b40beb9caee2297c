package spec

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// cmdDNS starts a DNS server that knows some names, whose answers are good for a second.
func (s *scene) cmdDNS(args []string) error {
	const usage = "dns variable name=address..."
	if len(args) < 2 {
		return fmt.Errorf("usage: %s", usage)
	}
	known := map[string]netip.Addr{}
	for _, arg := range args[1:] {
		name, text, _ := strings.Cut(arg, "=")
		address, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("%w\nusage: %s", err, usage)
		}
		known[name+"."] = address
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.ts.Setenv(args[0], conn.LocalAddr().String())
	s.ts.Defer(func() { _ = conn.Close() })
	go serveDNS(conn, known)
	return nil
}

// serveDNS answers until the connection is closed.
func serveDNS(conn net.PacketConn, known map[string]netip.Addr) {
	buffer := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		if reply, err := answerDNS(&query, known); err == nil {
			_, _ = conn.WriteTo(reply, from) // who lacks it asks again
		}
	}
}

func answerDNS(query *dnsmessage.Message, known map[string]netip.Addr) ([]byte, error) {
	question := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	address, ok := known[strings.ToLower(question.Name.String())]
	switch {
	case !ok:
		reply.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.AResource{A: address.As4()},
		}}
	}
	return reply.Pack()
}
