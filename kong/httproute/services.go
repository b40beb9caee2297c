package httproute

import (
	"net/netip"
	"slices"
	"strconv"

	names "k8s.io/apimachinery/pkg/util/validation"
)

// checkService checks what makes an API server refuse a Service, beside its schema.
func (d *document) checkService() {
	at := (*trail)(nil).field("spec")
	if ip := text(d.root, "spec", "clusterIP"); ip != "" && ip != "None" {
		if _, err := netip.ParseAddr(ip); err != nil {
			d.refuse(at.field("clusterIP"), "%s is neither an IP address nor None", quote(ip))
		}
	}
	ports := items(d.root, "spec", "ports")
	switch {
	case len(ports) > 0 || text(d.root, "spec", "type") == "ExternalName" || text(d.root, "spec", "clusterIP") == "None":
	default:
		d.refuse(at.field("ports"), "has to be there, with a port")
	}
	var taken, sockets []string
	for i, port := range ports {
		at := at.field("ports").item(i)
		switch name := text(port, "name"); {
		case name == "" && len(ports) > 1:
			d.refuse(at.field("name"), "has to be there, as the Service has several ports")
		case name != "" && slices.Contains(taken, name):
			d.refuse(at.field("name"), "%s is the name of another port already", quote(name))
		case name != "" && len(names.IsDNS1123Label(name)) > 0:
			d.refuse(at.field("name"), "%s is not the name of a port: lower-case letters, digits and - are allowed, 63 characters at most", quote(name))
		default:
			taken = append(taken, name)
		}
		socket := text(port, "protocol") + " " + strconv.FormatInt(number(port, "port"), 10)
		if text(port, "protocol") == "" {
			socket = "TCP" + socket
		}
		if slices.Contains(sockets, socket) {
			d.refuse(at, "is a port that the Service has already")
		}
		sockets = append(sockets, socket)
		if target := get(port, "targetPort"); target != nil && target.Tag != "!!null" && target.Value != "" { // 0 and "" are the port
			n, isName := number(port, "targetPort"), target.Tag == "!!str"
			if isName && len(names.IsValidPortName(target.Value)) > 0 || !isName && (target.Tag != "!!int" || n < 0 || n > 65535) {
				d.refuse(at.field("targetPort"), "%s is neither a number in 1..65535 nor the name of a port", describe(target))
			}
		}
		if protocol := text(port, "appProtocol"); protocol != "" && len(names.IsQualifiedName(protocol)) > 0 {
			d.refuse(at.field("appProtocol"), "%s is not the name of a protocol, with a domain and a slash before it or without", quote(protocol))
		}
	}
}
