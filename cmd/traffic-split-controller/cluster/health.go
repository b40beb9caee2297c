package cluster

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	absent := apierrors.IsNotFound(err)
	if absent {
		err = nil
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
