package httproute

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	names "k8s.io/apimachinery/pkg/util/validation"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	gatewayGroup = "gateway.networking.k8s.io"
	kongGroup    = "configuration.konghq.com"
)

// name identifies an object of a kind.
type name struct{ namespace, name string }

func (n name) String() string { return n.namespace + "/" + n.name }

// objects are what the manifests have, by kind.
type objects struct {
	documents  []*document // in their order
	routes     []*route    // likewise
	services   map[name]*service
	gateways   map[name]*gatewayObject
	plugins    map[name]*kongPlugin // of a namespace; those of the cluster have none
	grants     []grant
	namespaces map[string]map[string]string // their labels
	unsound    []*route                     // of documents that are wrong, with the rules that are right
	wrong      map[string]bool              // what is there, but wrong: KIND NAMESPACE/NAME, and KIND of NAMESPACE
}

type service struct {
	doc          *document
	annotations  map[string]string
	externalName string // where it is of that type
	headless     bool   // its name leads to the pods themselves
	ports        []servicePort
}

type servicePort struct {
	port        int
	target      int // of the pods; 0: the same, or one that only they know by a name
	named       bool
	appProtocol string
}

type gatewayObject struct {
	doc  *document
	spec gateway.GatewaySpec
}

type grant struct {
	namespace string
	spec      gateway.ReferenceGrantSpec
}

// kongPlugin is a KongPlugin or a KongClusterPlugin.
type kongPlugin struct {
	doc    *document
	name   string // of the plugin; empty: it is disabled
	config *yaml.Node
}

// load reads all objects. Documents that are wrong have their problems, and are left out.
func load(sources []Source, partial bool) *objects {
	o := &objects{
		services: map[name]*service{}, gateways: map[name]*gatewayObject{}, plugins: map[name]*kongPlugin{},
		namespaces: map[string]map[string]string{}, wrong: map[string]bool{},
	}
	for _, s := range sources {
		o.documents = append(o.documents, read(s)...)
	}
	each(o.documents, func(d *document) {
		d.partial = partial
		if len(d.problems) > 0 {
			return // it could not be read
		}
		d.checkHead()
		if s := schemas()[d.kind]; s != nil && known[version{text(d.root, "apiVersion"), d.kind}] != nil {
			d.checkSpec(s)
		}
	})
	seen := map[string]*document{}
	for _, d := range o.documents {
		if len(d.problems) > 0 {
			o.wrong[d.object()], o.wrong[d.kind+" of "+d.namespace] = true, true
			o.addUnsound(d)
			continue
		}
		group, _, _ := strings.Cut(text(d.root, "apiVersion"), "/")
		key := group + " " + d.object()
		if first := seen[key]; first != nil && d.name != "" {
			d.refuse(nil, "is there already, at %s:%d; keep one of them", first.file, first.root.Line)
			continue
		}
		seen[key] = d
		o.add(d)
	}
	return o
}

// problems are those of all documents.
func (o *objects) problems() (all []Problem) {
	byFile := map[string][]Problem{}
	var files []string
	for _, d := range o.documents {
		if _, known := byFile[d.file]; !known {
			files = append(files, d.file)
		}
		byFile[d.file] = append(byFile[d.file], d.problems...)
	}
	for _, file := range files {
		all = append(all, slices.Compact(sorted(byFile[file]))...) // what is named twice is said once
	}
	return all
}

// version is an apiVersion and a kind that are read, or known not to matter.
type version struct{ apiVersion, kind string }

var known = map[version]func(*objects, *document){
	{gatewayGroup + "/v1", "HTTPRoute"}:           (*objects).addHTTPRoute,
	{gatewayGroup + "/v1beta1", "HTTPRoute"}:      (*objects).addHTTPRoute,
	{gatewayGroup + "/v1", "GRPCRoute"}:           (*objects).addGRPCRoute,
	{gatewayGroup + "/v1", "Gateway"}:             (*objects).addGateway,
	{gatewayGroup + "/v1beta1", "Gateway"}:        (*objects).addGateway,
	{gatewayGroup + "/v1", "ReferenceGrant"}:      (*objects).addGrant,
	{gatewayGroup + "/v1beta1", "ReferenceGrant"}: (*objects).addGrant,
	{gatewayGroup + "/v1", "GatewayClass"}:        func(*objects, *document) {},
	{gatewayGroup + "/v1beta1", "GatewayClass"}:   func(*objects, *document) {},
	{"v1", "Service"}:                             (*objects).addService,
	{"v1", "Namespace"}:                           (*objects).addNamespace,
	{kongGroup + "/v1", "KongPlugin"}:             (*objects).addPlugin,
	{kongGroup + "/v1", "KongClusterPlugin"}:      (*objects).addPlugin,
}

func (o *objects) add(d *document) {
	apiVersion := text(d.root, "apiVersion")
	if add := known[version{apiVersion, d.kind}]; add != nil {
		add(o, d)
		return
	}
	at := (*trail)(nil).field("kind")
	isRoute := d.kind == "HTTPRoute" || d.kind == "GRPCRoute"
	switch group, _, _ := strings.Cut(apiVersion, "/"); {
	case isRoute && group != gatewayGroup:
		d.leave((*trail)(nil).field("apiVersion"), "%s of %s cannot be converted; those of %s/v1 can", d.kind, quote(apiVersion), gatewayGroup)
	case group == gatewayGroup && known[version{gatewayGroup + "/v1", d.kind}] != nil:
		d.refuse((*trail)(nil).field("apiVersion"), "%s of the version %s is not served; write %s/v1", d.kind, quote(apiVersion), gatewayGroup)
	case group == gatewayGroup, group == kongGroup:
		d.leave(at, "%s cannot be converted: HTTPRoute and GRPCRoute can, with Gateway, ReferenceGrant, Service and KongPlugin", d.kind)
	default:
		d.warn(at, "%s %s is ignored", apiVersion, d.kind)
	}
}

var (
	objectName    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// checkHead checks what all objects have.
func (d *document) checkHead() {
	var none *trail
	for _, field := range []string{"apiVersion", "kind"} {
		if n := get(d.root, field); n == nil || n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Value == "" {
			d.refuse(none.field(field), "has to be there, a string: this is no object of Kubernetes otherwise")
			return
		}
	}
	d.kind = text(d.root, "kind")
	if group, _, _ := strings.Cut(text(d.root, "apiVersion"), "/"); group != gatewayGroup && group != kongGroup && known[version{group, d.kind}] == nil {
		return // it is ignored
	}
	at := none.field("metadata")
	metadata := get(d.root, "metadata")
	if metadata == nil || metadata.Kind != yaml.MappingNode {
		d.refuse(at, "has to be there, with a name")
		return
	}
	d.name, d.namespace = text(metadata, "name"), text(metadata, "namespace")
	if d.namespace == "" {
		d.namespace = "default"
	}
	schemas()["ObjectMeta"].check(d, metadata, at)
	switch n := get(metadata, "name"); {
	case n == nil || n.Value == "" && n.Kind == yaml.ScalarNode:
		d.refuse(at.field("name"), "has to be there")
	case n.Tag != "!!str":
	case d.kind == "Service" && len(names.IsDNS1035Label(d.name)) > 0:
		d.refuse(at.field("name"), "%s is not the name of a Service: lower-case letters, digits and - are allowed, a letter at the start, 63 characters at most", quote(d.name))
	case d.kind == "Namespace" && len(names.IsDNS1123Label(d.name)) > 0:
		d.refuse(at.field("name"), "%s is not the name of a namespace: lower-case letters, digits and - are allowed, 63 characters at most", quote(d.name))
	case len(d.name) > 253 || !objectName.MatchString(d.name):
		d.refuse(at.field("name"), "%s is not a name: lower-case letters, digits, - and . are allowed, 253 characters at most", quote(d.name))
	}
	if len(d.namespace) > 63 || !namespaceName.MatchString(d.namespace) {
		d.refuse(at.field("namespace"), "%s is not the name of a namespace: lower-case letters, digits and - are allowed, 63 characters at most", quote(d.namespace))
	}
	for _, field := range []string{"labels", "annotations"} {
		n := get(metadata, field)
		if n == nil || n.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if field == "labels" && value.Tag == "!!str" && len(names.IsValidLabelValue(value.Value)) > 0 {
				d.refuse(at.fields(field, key.Value), "%s is not the value of a label: letters, digits, - _ and . are allowed, 63 characters at most, the first and the last a letter or a digit", quote(value.Value))
			}
			if !metadataKey.MatchString(key.Value) && !metadataKey.MatchString(strings.ToLower(key.Value)) {
				d.refuse(at.fields(field, key.Value), "%s is not a key: it is a name of at most 63 letters, digits, - _ and ., with a domain and a slash before it or without", quote(key.Value))
			}
		}
	}
}

// stringsOf returns a mapping of strings.
func stringsOf(n *yaml.Node) map[string]string {
	out := map[string]string{}
	if n == nil {
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		out[n.Content[i].Value] = n.Content[i+1].Value
	}
	return out
}

// checkSpec checks the spec of an object.
func (d *document) checkSpec(s *schema) {
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		if field := d.root.Content[i].Value; !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, field) {
			d.refuse((*trail)(nil).field(field), "there is no such field")
		}
	}
	at := (*trail)(nil).field("spec")
	if n := get(d.root, "spec"); n == nil || n.Tag == "!!null" {
		d.refuse(at, "has to be there")
	} else {
		s.check(d, n, at)
	}
}

// spec puts the spec of an object of the Gateway API, which was checked, into a variable.
func (d *document) spec(to any) { fill(get(d.root, "spec"), reflect.ValueOf(to).Elem()) }

func (o *objects) addGateway(d *document) {
	g := &gatewayObject{doc: d}
	d.spec(&g.spec)
	o.gateways[name{d.namespace, d.name}] = g
}

func (o *objects) addGrant(d *document) {
	g := grant{namespace: d.namespace}
	d.spec(&g.spec)
	o.grants = append(o.grants, g)
}

func (o *objects) addNamespace(d *document) {
	o.namespaces[d.name] = stringsOf(get(d.root, "metadata", "labels"))
}

func (o *objects) addService(d *document) {
	s := &service{doc: d, annotations: stringsOf(get(d.root, "metadata", "annotations"))}
	at := (*trail)(nil).field("spec")
	if text(d.root, "spec", "type") == "ExternalName" {
		if s.externalName = strings.TrimSuffix(text(d.root, "spec", "externalName"), "."); !objectName.MatchString(s.externalName) {
			d.refuse(at.field("externalName"), "%s is not the name of a host", quote(s.externalName))
		}
	}
	s.headless = text(d.root, "spec", "clusterIP") == "None"
	d.checkService()
	for _, port := range items(d.root, "spec", "ports") {
		p := servicePort{port: int(number(port, "port")), target: int(number(port, "targetPort")), appProtocol: text(port, "appProtocol")}
		p.named = p.target == 0 && text(port, "targetPort") != ""
		s.ports = append(s.ports, p)
	}
	o.services[name{d.namespace, d.name}] = s
}

func (o *objects) addPlugin(d *document) {
	p := &kongPlugin{doc: d, name: text(d.root, "plugin"), config: get(d.root, "config")}
	var none *trail
	if p.name == "" {
		d.refuse(none.field("plugin"), "has to be there: the name of a plugin")
	}
	for i := 0; i+1 < len(d.root.Content); i += 2 {
		switch field := d.root.Content[i].Value; field {
		case "apiVersion", "kind", "metadata", "plugin", "config", "status", "disabled":
		default:
			d.leave(none.field(field), "cannot be converted; plugin and config can")
		}
	}
	if text(d.root, "disabled") == "true" {
		p.name = ""
	}
	if d.kind == "KongClusterPlugin" {
		d.namespace = ""
	}
	o.plugins[name{d.namespace, d.name}] = p
}
