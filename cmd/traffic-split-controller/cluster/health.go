package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Watch says how the watch of a kind fares.
type Watch struct {
	Kind   string
	Absent bool  // the API server does not serve this kind: there are no objects of it
	Err    error // why it cannot be read now; the objects are those from before
}

// Watches returns how each kind's watch fares, in the order of [Kinds].
func (c *Cluster) Watches() []Watch {
	var all []Watch
	for _, w := range c.watches {
		w.mu.Lock()
		all = append(all, Watch{Kind: w.Name, Absent: w.absent, Err: w.failed})
		w.mu.Unlock()
	}
	return all
}

// Synced reports whether all objects of all kinds have been read once. Before that, what
// is not there may only not have been read yet.
func (c *Cluster) Synced() bool {
	for _, w := range c.watches {
		w.mu.Lock()
		absent := w.absent
		w.mu.Unlock()
		if !absent && !w.informer.HasSynced() {
			return false
		}
	}
	return true
}

// answered takes note of an answer of the API server, or of none. It logs what is new.
func (c *Cluster) answered(ctx context.Context, w *watched, err error) {
	switch {
	case ctx.Err() != nil:
		return // it ends
	case apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsTooManyRequests(err) || apierrors.IsInvalid(err):
		return // a part of how lists and watches go: the reflector does it in another way
	}
	absent := false
	if apierrors.IsNotFound(err) {
		if absent, err = c.lacks(w.Resource, err); absent {
			err = nil
		}
	}
	w.mu.Lock()
	was, wasAbsent, first := w.failed, w.absent, !w.tried
	w.failed, w.absent, w.tried = err, absent, true
	w.mu.Unlock()

	resource := w.Resource.GroupResource().String()
	switch {
	case err != nil && (was == nil || reason(was) != reason(err)):
		c.log.Error("objects cannot be read; the last ones stay in use", "resource", resource, "error", err)
	case err == nil && was != nil:
		c.log.Info("objects can be read again", "resource", resource)
	}
	switch {
	case absent && (first || !wasAbsent):
		c.log.Warn("the API server does not have this kind of objects: its custom resource definition is not installed", "resource", resource, "version", w.Resource.Version)
	case wasAbsent && !absent && err == nil:
		c.log.Info("the API server has this kind of objects now", "resource", resource)
	}
	if first || absent != wasAbsent || (err == nil) != (was == nil) {
		c.notify()
	}
}

// lacks reports whether an answer of 404 means that the API server does not serve a kind. It
// asks for the kinds that it serves, as a proxy before it, or something else at its address,
// answers with 404 as well: then the error is returned.
func (c *Cluster) lacks(resource schema.GroupVersionResource, answer error) (bool, error) {
	if resource.Group == "" { // each API server serves the core's
		return false, answer
	}
	groups, err := c.api.ServerGroups()
	if err != nil || len(groups.Groups) == 0 {
		return false, errors.Join(fmt.Errorf("%w; it does not say either which kinds it serves: is this the address of an API server?", answer), err)
	}
	version := resource.GroupVersion()
	if !slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool {
		return slices.ContainsFunc(g.Versions, func(v metav1.GroupVersionForDiscovery) bool { return v.GroupVersion == version.String() })
	}) {
		return true, nil
	}
	list, err := c.api.ServerResourcesForGroupVersion(version.String())
	if err != nil {
		return false, errors.Join(answer, err)
	}
	if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == resource.Resource }) {
		return false, fmt.Errorf("%w, although it serves this kind", answer)
	}
	return true, nil
}

// reason returns what an error is about, without what is different each time, such as the
// port of this end of a connection.
func reason(err error) string {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return string(status.Status().Reason) + status.Status().Message
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
