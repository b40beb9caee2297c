// Package cluster owns what is known of the cluster: the objects of the kinds that a
// split depends on, as the API server last had them, and whether it still answers.
package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// resync is how often everything is looked at again without a change, in case one was
// missed.
const resync = 10 * time.Minute

// A Cluster watches the kinds of objects in [Kinds]. Its methods may be called at the
// same time.
type Cluster struct {
	log     *slog.Logger
	api     discovery.DiscoveryInterface
	watches []*watched
	changed chan struct{}
}

// watched is one kind, and how its watch fares.
type watched struct {
	Kind
	informer cache.SharedIndexInformer

	mu     sync.Mutex
	tried  bool  // an answer has come, good or bad
	failed error // the last answer, if it was bad
	absent bool  // the API server does not serve the kind
}

// New returns a Cluster that reads by client, and asks api which kinds there are. Nothing is
// read before Run.
func New(client dynamic.Interface, api discovery.DiscoveryInterface, log *slog.Logger) (*Cluster, error) {
	c := &Cluster{log: log, api: api, changed: make(chan struct{}, 1)}
	for _, kind := range Kinds {
		w := &watched{Kind: kind}
		objects := client.Resource(kind.Resource)
		w.informer = cache.NewSharedIndexInformer(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				list, err := objects.List(ctx, o)
				c.answered(ctx, w, err)
				return list, err
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				events, err := objects.Watch(ctx, o)
				c.answered(ctx, w, err)
				return events, err
			},
		}, &unstructured.Unstructured{}, resync, cache.Indexers{})
		if err := w.informer.SetTransform(trim); err != nil {
			return nil, err
		}
		// The reflector's own message goes to klog; answered has told of the error.
		if err := w.informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}); err != nil {
			return nil, err
		}
		_, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { c.notify() },
			UpdateFunc: func(any, any) { c.notify() },
			DeleteFunc: func(any) { c.notify() },
		})
		if err != nil {
			return nil, err
		}
		c.watches = append(c.watches, w)
	}
	return c, nil
}

// Run watches until ctx is done. An API server that is away is asked again and again,
// at growing intervals of up to half a minute; until then the objects stay as they were.
func (c *Cluster) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, w := range c.watches {
		running.Go(func() { w.informer.RunWithContext(ctx) })
		running.Go(func() { // a kind without objects has no event that would tell
			if cache.WaitForCacheSync(ctx.Done(), w.informer.HasSynced) {
				c.notify()
			}
		})
	}
	running.Wait()
}

// Changed receives when an object has changed, or the API server does what it did not.
// Changes before a receipt are told once.
func (c *Cluster) Changed() <-chan struct{} { return c.changed }

func (c *Cluster) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Get returns the object of a name, or nil. It must not be changed.
func (c *Cluster) Get(kind, namespace, name string) *unstructured.Unstructured {
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	for _, w := range c.watches {
		if w.Name != kind {
			continue
		}
		if object, found, err := w.informer.GetStore().GetByKey(key); err == nil && found {
			return object.(*unstructured.Unstructured)
		}
	}
	return nil
}

// List returns the objects of a kind, in no order. They must not be changed.
func (c *Cluster) List(kind string) []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	for _, w := range c.watches {
		if w.Name != kind {
			continue
		}
		for _, object := range w.informer.GetStore().List() {
			all = append(all, object.(*unstructured.Unstructured))
		}
	}
	return all
}
