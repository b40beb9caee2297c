// Package manifest owns the objects of Kubernetes manifests as texts: it finds one among the
// documents and lists of a file, and patches it in place.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"kong-traffic-split/plugin/file"
)

// Selector says which object of a file is meant. The zero Selector is for a file that has
// one only.
type Selector struct {
	Kind      string // as kubectl takes it: HTTPRoute, httproutes, httproute.gateway.networking.k8s.io
	Name      string
	Namespace string // empty: any
}

// Object is an object of a manifest.
type Object struct {
	Kind, Group, Name, Namespace string // Namespace is empty where the manifest has none

	document file.Document
	steps    []any  // that lead to it in its document
	json     []byte // what it says
}

// String returns the object's kind and name, as messages have them.
func (o *Object) String() string {
	if o.Namespace != "" {
		return o.Kind + " " + o.Namespace + "/" + o.Name
	}
	return o.Kind + " " + o.Name
}

// metadata is what says which object one is.
type metadata struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
}

// objects returns the objects of a manifest: those of its documents, and of kubectl's lists.
func objects(content string) ([]*Object, error) {
	var all []*Object
	for _, d := range file.Documents(content) {
		text, err := toJSON(content[d.Start:d.End])
		if err != nil {
			return nil, fmt.Errorf("the document from line %d on is not YAML: %w", d.Line+1, err)
		}
		if string(text) == "null" { // nothing but comments
			continue
		}
		if all, err = appendObjects(all, d, text); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("has no object in it")
	}
	return all, nil
}

// appendObjects adds the object of a document, or those of its list.
func appendObjects(all []*Object, d file.Document, text []byte) ([]*Object, error) {
	o, m, err := objectOf(d, text)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(m.Kind, "List") || m.Items == nil {
		return append(all, o), nil
	}
	for i, item := range m.Items {
		o, _, err := objectOf(d, item, "items", i)
		if err != nil {
			return nil, err
		}
		if o.Kind == "" { // as in an HTTPRouteList of the API server's
			o.Kind, o.Group = strings.TrimSuffix(m.Kind, "List"), groupOf(m.APIVersion)
		}
		all = append(all, o)
	}
	return all, nil
}

func objectOf(d file.Document, text []byte, steps ...any) (*Object, *metadata, error) {
	var m metadata
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, nil, fmt.Errorf("the document from line %d on is no object of Kubernetes': %w", d.Line+1, err)
	}
	return &Object{m.Kind, groupOf(m.APIVersion), m.Metadata.Name, m.Metadata.Namespace, d, steps, text}, &m, nil
}

func groupOf(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok { // the core's, as in v1
		return ""
	}
	return group
}

// toJSON converts YAML as kubectl does.
func toJSON(text string) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // a bug of the library must not end the process
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return yaml.YAMLToJSON([]byte(text))
}

// choose returns the object that a selector is about.
func choose(all []*Object, s Selector) (*Object, error) {
	var found []*Object
	for _, o := range all {
		if s.selects(o) {
			found = append(found, o)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return nil, fmt.Errorf("has no %s; there are %s", s, names(all))
	case s.Name == "":
		return nil, fmt.Errorf("has %d objects: say which one by KIND/NAME, and -n NAMESPACE where that is needed; there are %s", len(found), names(found))
	}
	return nil, fmt.Errorf("has %d objects that are %s: say which one by -n NAMESPACE, or by KIND.GROUP/NAME; there are %s", len(found), s, names(found))
}

// String returns a selector as kubectl has it.
func (s Selector) String() string {
	text := "object"
	if s.Name != "" {
		text = s.Kind + "/" + s.Name
	}
	if s.Namespace != "" {
		text += " in the namespace " + s.Namespace
	}
	return text
}

// Names returns how the objects of a manifest can be named: httproute/echo; those in a
// namespace, or where that is empty, all. They are none where it cannot be read.
func Names(content, namespace string) (all []string) {
	objects, err := objects(content)
	if err != nil {
		return nil
	}
	for _, o := range objects {
		name := strings.ToLower(o.Kind) + "/" + o.Name
		if (Selector{Namespace: namespace}).selects(o) && o.Name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// selects reports whether an object is one that the selector is about. One without a
// namespace is in the namespace default, as it is with kubectl by default.
func (s Selector) selects(o *Object) bool {
	namespace := o.Namespace
	if namespace == "" {
		namespace = "default"
	}
	if s.Namespace != "" && namespace != s.Namespace {
		return false
	}
	if s.Name == "" {
		return true
	}
	kind, group, grouped := strings.Cut(strings.ToLower(s.Kind), ".")
	own := strings.ToLower(o.Kind)
	// kubectl's plurals: routes, gateways, policies.
	known := kind == own || kind == own+"s" || kind == own+"es" || kind == strings.TrimSuffix(own, "y")+"ies"
	return o.Name == s.Name && known && (!grouped || group == o.Group)
}

func names(all []*Object) string {
	const limit = 20
	var list []string
	for _, o := range all[:min(len(all), limit)] {
		list = append(list, o.String())
	}
	if len(all) > limit {
		list = append(list, fmt.Sprintf("and %d more", len(all)-limit))
	}
	return strings.Join(list, ", ")
}

// decode decodes JSON with numbers as they are written.
func decode(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	_ = d.Decode(&v) // it was decoded before
	return v
}
