package httproute

import (
	"slices"

	"gopkg.in/yaml.v3"
	names "k8s.io/apimachinery/pkg/util/validation"
)

// The fields of a Service (ServiceSpec and ServicePort of the API v1, as of Kubernetes 1.36).
var (
	serviceFields = []string{
		"ports", "selector", "clusterIP", "clusterIPs", "type", "externalIPs", "sessionAffinity", "loadBalancerIP",
		"loadBalancerSourceRanges", "externalName", "externalTrafficPolicy", "healthCheckNodePort", "publishNotReadyAddresses",
		"sessionAffinityConfig", "ipFamilies", "ipFamilyPolicy", "allocateLoadBalancerNodePorts", "loadBalancerClass",
		"internalTrafficPolicy", "trafficDistribution",
	}
	servicePortFields = []string{"name", "protocol", "appProtocol", "port", "targetPort", "nodePort"}
)

// checkService checks what makes an API server refuse a Service.
func (d *document) checkService() {
	at := (*trail)(nil).field("spec")
	d.onlyFields(get(d.root, "spec"), at, serviceFields)
	ports := items(d.root, "spec", "ports")
	switch {
	case len(ports) > 0 || text(d.root, "spec", "type") == "ExternalName" || text(d.root, "spec", "clusterIP") == "None":
	default:
		d.refuse(at.field("ports"), "has to be there, with a port")
	}
	var taken []string
	for i, port := range ports {
		at := at.field("ports").item(i)
		d.onlyFields(port, at, servicePortFields)
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
	}
}

// onlyFields refuses fields that a mapping must not have.
func (d *document) onlyFields(n *yaml.Node, at *trail, fields []string) {
	if n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if field := n.Content[i].Value; !slices.Contains(fields, field) {
			d.refuse(at.field(field), "there is no such field")
		}
	}
}
