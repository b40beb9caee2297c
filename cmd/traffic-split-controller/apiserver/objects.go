package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// A Client does what kubectl does.
type Client struct {
	Dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// Client returns a client for a user.
func (s *Server) Client(user string) *Client {
	s.t.Helper()
	config := s.Config(user)
	d, err := dynamic.NewForConfig(config)
	if err != nil {
		s.t.Fatal(err)
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return &Client{d, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))}
}

// Read reads the documents of a manifest.
func Read(manifest string) (all []*unstructured.Unstructured, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case u.Object != nil:
			all = append(all, u)
		}
	}
}

// ReadFile reads the documents of a file, or of all files *.yaml of a folder.
func ReadFile(path string) (all []*unstructured.Unstructured, err error) {
	paths := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
			return nil, err
		}
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		objects, err := Read(string(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func (c *Client) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == "root" {
		return c.Dynamic.Resource(mapping.Resource), nil
	}
	namespace := u.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return c.Dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// Apply creates objects or changes them, with strict validation of their fields, as
// kubectl apply --server-side does.
func (c *Client) Apply(ctx context.Context, dryRun bool, objects ...*unstructured.Unstructured) error {
	for _, u := range objects {
		r, err := c.resource(u)
		if err != nil {
			return err
		}
		data, err := u.MarshalJSON()
		if err != nil {
			return err
		}
		force := true
		o := metav1.PatchOptions{FieldManager: "test", FieldValidation: metav1.FieldValidationStrict, Force: &force}
		if dryRun {
			o.DryRun = []string{metav1.DryRunAll}
		}
		if _, err := r.Patch(ctx, u.GetName(), types.ApplyPatchType, data, o); err != nil {
			return err
		}
		if u.GetKind() == "CustomResourceDefinition" {
			c.mapper.Reset()
		}
	}
	return nil
}

// Create asks the API server to create an object, and creates none.
func (c *Client) Create(ctx context.Context, u *unstructured.Unstructured) error {
	r, err := c.resource(u)
	if err != nil {
		return err
	}
	_, err = r.Create(ctx, u, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}})
	return err
}

// Patch applies a JSON patch, as kubectl patch --type json does.
func (c *Client) Patch(ctx context.Context, u *unstructured.Unstructured, patch string) error {
	r, err := c.resource(u)
	if err != nil {
		return err
	}
	_, err = r.Patch(ctx, u.GetName(), types.JSONPatchType, []byte(patch), metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict})
	return err
}

// Delete deletes an object.
func (c *Client) Delete(ctx context.Context, u *unstructured.Unstructured) error {
	r, err := c.resource(u)
	if err != nil {
		return err
	}
	return r.Delete(ctx, u.GetName(), metav1.DeleteOptions{})
}

// Serves reports whether the API server serves a kind.
func (c *Client) Serves(group, kind string) error {
	c.mapper.Reset()
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind})
	if err != nil {
		return err
	}
	_, err = c.Dynamic.Resource(mapping.Resource).List(context.Background(), metav1.ListOptions{Limit: 1})
	return err
}

// Events returns the events of a namespace, a line each.
func (c *Client) Events(ctx context.Context, namespace string) (string, error) {
	list, err := c.Dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "events"}).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, e := range list.Items {
		text := func(fields ...string) string {
			s, _, _ := unstructured.NestedString(e.Object, fields...)
			return s
		}
		fmt.Fprintf(&b, "%s %s: %s %s: %s\n", text("involvedObject", "kind"), text("involvedObject", "name"), text("type"), text("reason"), text("message"))
	}
	return b.String(), nil
}
