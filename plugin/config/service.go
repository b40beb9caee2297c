package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// A Service is the part of a Kong Service on which it depends which backends Kong can
// reach.
type Service struct {
	Protocol string // http, https, grpc, grpcs; tcp, tls and more for connections
	Host     string
	IsIP     bool   // the host is an IP address
	Path     string // empty: none
	Missing  bool   // the route has none
}

// NewService returns the Service with that protocol and host.
func NewService(protocol, host string) Service {
	return Service{Protocol: protocol, Host: host, IsIP: isIP(host)}
}

// NoService is what a route without one has for requests: Kong speaks http where it is not told
// to speak https.
func NoService() Service { return Service{Protocol: "http", Missing: true} }

// IsGRPC reports whether the Service speaks gRPC.
func (s *Service) IsGRPC() bool { return s.Protocol == "grpc" || s.Protocol == "grpcs" }

// Refuse returns an error if Kong would fail to do what a backend asks for, silently or
// with an error that does not say why.
func (s *Service) Refuse(b *Backend) error {
	grpc := s.IsGRPC()
	switch {
	case grpc && b.Redirect != nil:
		return fmt.Errorf("backend %q: redirect: clients of gRPC follow none, and this is a %s Service: take the backend out", b.Name, s.Protocol)
	case grpc && b.Protocol != "":
		return fmt.Errorf("backend %q: protocol %s: Kong cannot change the protocol of a %s Service: leave it out", b.Name, b.Protocol, s.Protocol)
	case grpc && b.Path != "":
		return fmt.Errorf("backend %q: path %s: Kong cannot change the path on a %s Service: leave it out", b.Name, b.Path, s.Protocol)
	case grpc && b.ReplacePrefix != "":
		return fmt.Errorf("backend %q: replace_prefix %s: Kong cannot change the path on a %s Service: leave it out", b.Name, b.ReplacePrefix, s.Protocol)
	case grpc && b.ReplacePath != "":
		return fmt.Errorf("backend %q: replace_path %s: Kong cannot change the path on a %s Service: leave it out", b.Name, b.ReplacePath, s.Protocol)
	}
	return nil
}

// RefuseServiceless returns an error if Kong cannot do what a backend asks for on a route with
// these protocols that has no Service. By the Service's protocol Kong chooses, before plugins
// run, how it proxies: without one, with TLS where it is a connection, and by HTTP/1.1 where it
// is a call of gRPC. What it only passes on it leaves as it is.
func RefuseServiceless(b *Backend, protocols []string) error {
	speaks, needs := "", ""
	switch {
	case b.Redirect != nil:
	case b.Service:
		return fmt.Errorf("backend %q: service: true, and the route has no Service: give it one, or take the backend out", b.Name)
	case slices.Contains(protocols, "tls_passthrough"):
	case slices.Contains(protocols, "tcp") || slices.Contains(protocols, "tls"):
		speaks, needs = "TLS", "tcp"
	case slices.Contains(protocols, "grpc") || slices.Contains(protocols, "grpcs"):
		speaks, needs = "HTTP/1.1", "grpc"
	}
	if speaks == "" {
		return nil
	}
	return fmt.Errorf("backend %q: the route, for %s, has no Service, and so Kong would speak %s to it: give the route a Service with protocol: %s, which need not lead anywhere", b.Name, strings.Join(protocols, ", "), speaks, needs)
}

// HasLimits reports whether the backend has timeouts or retries of its own.
func (b *Backend) HasLimits() bool { return b.Timeouts != Timeouts{} || b.Retries != nil }

// Named reports whether Kong has to look up the backend's destination by a name.
func (b *Backend) Named() bool { return b.Upstream != "" || b.Host != "" && !isIP(b.Host) }

// Authority returns the Host header for the backend's own address: with the port unless
// it is the protocol's default, and an IPv6 address in brackets.
func (b *Backend) Authority(protocol string) string {
	implied := 80
	if protocol == "https" || protocol == "grpcs" {
		implied = 443
	}
	switch {
	case b.Port != implied:
		return net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
	case strings.Contains(b.Host, ":"):
		return "[" + b.Host + "]"
	}
	return b.Host
}

// isIP reports whether Kong takes a host for an address: one with several colons is, and one
// that has only digits and dots, as 010.0.0.1.
func isIP(host string) bool {
	return strings.Count(host, ":") > 1 || host != "" && strings.Trim(host, "0123456789.") == ""
}
