package cluster

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Kind is a kind of objects that a split depends on.
type Kind struct {
	Name     string
	Resource schema.GroupVersionResource
}

// The names of the kinds.
const (
	HTTPRoute         = "HTTPRoute"
	GRPCRoute         = "GRPCRoute"
	Service           = "Service"
	ReferenceGrant    = "ReferenceGrant"
	KongPlugin        = "KongPlugin"
	KongClusterPlugin = "KongClusterPlugin"
)

// Kinds are all kinds that are watched. Of each there is the version that clusters of the
// last years serve; those of the Gateway API and of Kong are custom resources, and may be
// missing.
var Kinds = []Kind{
	{HTTPRoute, schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}},
	{GRPCRoute, schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "grpcroutes"}},
	{ReferenceGrant, schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1beta1", Resource: "referencegrants"}},
	{Service, schema.GroupVersionResource{Version: "v1", Resource: "services"}},
	{KongPlugin, schema.GroupVersionResource{Group: "configuration.konghq.com", Version: "v1", Resource: "kongplugins"}},
	{KongClusterPlugin, schema.GroupVersionResource{Group: "configuration.konghq.com", Version: "v1", Resource: "kongclusterplugins"}},
}

// trim takes out of an object what no split depends on and changes often: who has set
// which field, and the status.
func trim(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok { // the last known state of something that was deleted
		return object, nil
	}
	delete(u.Object, "status")
	if metadata, ok := u.Object["metadata"].(map[string]any); ok {
		delete(metadata, "managedFields")
		if annotations, ok := metadata["annotations"].(map[string]any); ok {
			delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
		}
	}
	return u, nil
}
