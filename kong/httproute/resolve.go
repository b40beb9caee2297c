package httproute

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// An Address says where a Service is reached.
type Address struct {
	Namespace string
	Name      string
	Port      int // of the Service; 0: all of them
	Host      string
	HostPort  int
}

var hostText = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)

// serviceName is what a name of a Service is like.
var serviceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ParseAddress reads namespace/name[:port]=host:port.
func ParseAddress(s string) (Address, error) {
	wrong := func() (Address, error) {
		return Address{}, fmt.Errorf("%s is not NAMESPACE/NAME[:PORT]=HOST:PORT", quote(s))
	}
	service, target, ok := strings.Cut(s, "=")
	namespace, rest, ok2 := strings.Cut(service, "/")
	if !ok || !ok2 {
		return wrong()
	}
	a := Address{Namespace: namespace, Name: rest}
	if before, port, ok := strings.Cut(rest, ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return wrong()
		}
		a.Name, a.Port = before, int(n)
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return wrong()
	}
	n, err := strconv.ParseUint(port, 10, 16)
	_, isName := netip.ParseAddr(host)
	if err != nil || n == 0 || isName != nil && !hostText.MatchString(host) || !namespaceName.MatchString(a.Namespace) || !objectName.MatchString(a.Name) {
		return wrong()
	}
	a.Host, a.HostPort = host, int(n)
	return a, nil
}

// ParseAddresses reads a file that has an address a line. Empty lines and what is behind a
// # are ignored.
func ParseAddresses(data []byte) (all []Address, err error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for number := 1; lines.Scan(); number++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		a, err := ParseAddress(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		all = append(all, a)
	}
	return all, lines.Err()
}

// target is what a backendRef leads to.
type target struct {
	ref      *backendRef
	service  name
	port     int // of the Service
	host     string
	hostPort int
	protocol string // of Kong: http, https, grpc or grpcs
	missing  bool   // it leads nowhere: its share is answered with an error
}

// resolve finds what a backendRef leads to, and reports why it leads nowhere.
func (c *converter) resolve(r *rule, ref *backendRef) target {
	d := r.route.doc
	t := target{ref: ref, missing: true, protocol: "http"}
	if r.route.grpc {
		t.protocol = "grpc"
	}
	t.service = name{d.namespace, string(ref.ref.Name)}
	if ref.ref.Namespace != nil {
		t.service.namespace = string(*ref.ref.Namespace)
	}
	if kind, group := string(*ref.ref.Kind), string(*ref.ref.Group); kind != "Service" || group != "" {
		d.leave(ref.at.field("kind"), "%s of the group %s cannot be a backend here, only a Service", quote(kind), quote(group))
		return t
	}
	t.port = int(*ref.ref.Port)
	if !serviceName.MatchString(t.service.name) {
		d.leave(ref.at.field("name"), "there is no Service %s: its name would have lower-case letters, digits and - alone, 63 at most", quote(t.service.name))
		return t
	}
	if t.service.namespace != d.namespace && !c.objects.granted(d, "", "Service", t.service) {
		d.leave(ref.at.field("namespace"), "no ReferenceGrant in the namespace %s lets %ss of %s refer to the Service %s", t.service.namespace, d.kind, d.namespace, t.service.name)
		return t
	}
	if c.objects.wrong["Service "+t.service.String()] {
		return t
	}
	s, known := c.objects.services[t.service]
	address, resolved := c.address(t.service, t.port)
	switch {
	case !known && !resolved && (c.options.Strict || c.hasServices[t.service.namespace]):
		d.leave(ref.at.field("name"), "there is no Service %s", t.service)
		return t
	case known && !resolved && !s.has(t.port):
		d.leave(ref.at.field("port"), "the Service %s has no port %d", t.service, t.port)
		return t
	}
	if known {
		s.checkAnnotations()
		if !c.protocol(s, r, ref, &t) {
			return t
		}
	}
	t.missing = false
	switch {
	case resolved:
		t.host, t.hostPort = address.Host, address.HostPort
	case known && s.externalName != "":
		t.host, t.hostPort = s.externalName, t.port
	default:
		t.host, t.hostPort = c.clusterName(t.service), t.port
		if known && s.headless {
			c.headless(s, d, ref, &t)
		}
	}
	return t
}

// clusterName is a Service's name in the cluster's DNS.
func (c *converter) clusterName(service name) string {
	return service.name + "." + service.namespace + ".svc." + c.options.ClusterDomain
}

// checkAnnotations reports what Kong's ingress controller would read of a Service, and is
// not converted. What is reported twice is said once.
func (s *service) checkAnnotations() {
	for _, key := range sortedKeys(s.annotations) {
		if annotation, ours := strings.CutPrefix(key, "konghq.com/"); ours && annotation != "protocol" {
			s.doc.leave((*trail)(nil).fields("metadata", "annotations", key), "this annotation cannot be converted; protocol can")
		}
	}
}

// headless finds the port of the pods of a Service without an address of its own.
func (c *converter) headless(s *service, d *document, ref *backendRef, t *target) {
	for _, p := range s.ports {
		switch {
		case p.port == t.port && p.named:
			d.warn(ref.at.field("port"), "the Service %s is headless and its targetPort is a name: the port of its pods is taken to be %d", t.service, t.port)
		case p.port == t.port && p.target != 0:
			t.hostPort = p.target
		}
	}
}

func (s *service) has(port int) bool {
	for _, p := range s.ports {
		if p.port == port {
			return true
		}
	}
	return s.externalName != ""
}

// protocol finds out how Kong talks to a Service.
func (c *converter) protocol(s *service, r *rule, ref *backendRef, t *target) bool {
	if p := s.annotations["konghq.com/protocol"]; p != "" {
		isGRPC := p == "grpc" || p == "grpcs"
		if p != "http" && p != "https" && !isGRPC || isGRPC != r.route.grpc {
			r.route.doc.leave(ref.at.field("name"), "the Service %s has the protocol %s, which a %s cannot use", t.service, quote(p), r.route.doc.kind)
			return false
		}
		t.protocol = p
		return true
	}
	for _, p := range s.ports {
		if p.port != t.port {
			continue
		}
		switch p.appProtocol {
		case "https", "kubernetes.io/wss":
			t.protocol = map[bool]string{false: "https", true: "grpcs"}[r.route.grpc]
		case "kubernetes.io/h2c":
			if !r.route.grpc {
				r.route.doc.leave(ref.at.field("port"), "the port %d of the Service %s speaks HTTP/2 without TLS (appProtocol), which Kong does for gRPC only", t.port, t.service)
				return false
			}
		}
	}
	return true
}

// address is the one that was given for a port of a Service.
func (c *converter) address(service name, port int) (Address, bool) {
	for _, p := range []int{port, 0} {
		if a, ok := c.addresses[addressKey{service, p}]; ok {
			return a, true
		}
	}
	return Address{}, false
}

type addressKey struct {
	service name
	port    int
}

// granted reports whether a route may refer to an object of another namespace. A grant that
// is wrong may be the one that lets it.
func (o *objects) granted(d *document, group, kind string, object name) bool {
	if o.wrong["ReferenceGrant of "+object.namespace] {
		return true
	}
	for _, g := range o.grants {
		if g.namespace != object.namespace {
			continue
		}
		from := gateway.ReferenceGrantFrom{Group: gatewayGroup, Kind: gateway.Kind(d.kind), Namespace: gateway.Namespace(d.namespace)}
		if Grants(&g.spec, from, group, kind, object.name) {
			return true
		}
	}
	return false
}

// Grants reports whether a ReferenceGrant lets objects refer to one of its own namespace.
func Grants(spec *gateway.ReferenceGrantSpec, from gateway.ReferenceGrantFrom, group, kind, object string) bool {
	return slices.Contains(spec.From, from) && slices.ContainsFunc(spec.To, func(to gateway.ReferenceGrantTo) bool {
		return string(to.Group) == group && string(to.Kind) == kind && (to.Name == nil || string(*to.Name) == object)
	})
}

// labelsOf are the labels of a namespace, with the one that each has by itself.
func labelsOf(given map[string]string, namespace string) labels.Set {
	set := labels.Set{"kubernetes.io/metadata.name": namespace}
	for key, value := range given {
		set[key] = value
	}
	return set
}
