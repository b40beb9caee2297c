package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/apis/v1alpha2"
	"sigs.k8s.io/gateway-api/apis/v1alpha3"
	"sigs.k8s.io/gateway-api/apis/v1beta1"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"

	"kong-traffic-split/kong/httproute"
	"kong-traffic-split/kong/standin"
)

const controllerName = "kong-traffic-split.example/conformance"

// A cluster is what the suite takes for one: a client that keeps objects, and does with
// each change what `splitctl convert` and a reload of the gateway would do. Each Gateway
// has a stand-in and a plugin server of its own; each Service is an echo.
type cluster struct {
	client.WithWatch
	t      *testing.T
	plugin string // the executable
	// certificate is the file with that of the Gateways, and its key.
	certificate string

	mu       sync.Mutex
	gateways map[string]*gateway // by namespace/name
	echoes   map[string]string   // addresses, by namespace/name of the Service
	logs     logs                // of the echoes
}

type gateway struct {
	*standin.Gateway
	address string // in its status
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, gatewayv1.Install, v1beta1.Install, v1alpha2.Install, v1alpha3.Install,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{
		t: t, plugin: filepath.Join(t.TempDir(), "traffic-split"),
		gateways: map[string]*gateway{}, echoes: map[string]string{}, logs: logs{byPod: map[string]*strings.Builder{}},
	}
	build := exec.Command("go", "build", "-o", c.plugin, "./cmd/traffic-split")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.WithWatch = fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&gatewayv1.Gateway{}, &gatewayv1.HTTPRoute{}, &gatewayv1.GRPCRoute{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.CreateOption) error {
				return c.reconciled(ctx, w, w.Create(ctx, o, options...))
			},
			Update: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.UpdateOption) error {
				return c.reconciled(ctx, w, w.Update(ctx, o, options...))
			},
			Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, options ...client.PatchOption) error {
				return c.reconciled(ctx, w, w.Patch(ctx, o, p, options...))
			},
			Delete: func(ctx context.Context, w client.WithWatch, o client.Object, options ...client.DeleteOption) error {
				return c.reconciled(ctx, w, w.Delete(ctx, o, options...))
			},
		}).Build()
	return c
}

// dial reaches the stand-in of the Gateway that has the address in its status.
func (c *cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, c.proxy(address))
}

// proxy is the address of that stand-in, by http or https; of another one, itself.
func (c *cluster) proxy(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.gateways {
		if g.address == host {
			if port == "443" {
				return g.ProxyAddrs()[1]
			}
			return g.ProxyAddr()
		}
	}
	return address
}

// reconciled brings gateways and statuses up to date after a change.
func (c *cluster) reconciled(ctx context.Context, w client.WithWatch, err error) error {
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reconcile(ctx, w)
}

// kinds are those that conversion needs.
var kinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Namespace"},
	{Version: "v1", Kind: "Service"},
	{Group: gatewayv1.GroupName, Version: "v1", Kind: "ReferenceGrant"},
	{Group: gatewayv1.GroupName, Version: "v1", Kind: "Gateway"},
	{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"},
	{Group: gatewayv1.GroupName, Version: "v1", Kind: "GRPCRoute"},
}

func isRoute(o unstructured.Unstructured) bool { return strings.HasSuffix(o.GetKind(), "Route") }

// objects are all objects of the kinds, as they were applied.
func objects(ctx context.Context, w client.WithWatch) (all []unstructured.Unstructured, err error) {
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := w.List(ctx, list); err != nil {
			return nil, err
		}
		for _, o := range list.Items {
			delete(o.Object, "status")
			all = append(all, o)
		}
	}
	return all, nil
}

// convert converts the routes of a Gateway. It reports what is wrong with each route, and
// leaves out those that cannot be converted.
func (c *cluster) convert(all []unstructured.Unstructured) ([]byte, map[string][]httproute.Problem, error) {
	options := httproute.Options{Flavor: httproute.Expressions, Partial: true, Strict: true, ClusterDomain: "cluster.local"}
	for _, o := range all {
		if o.GetKind() != "Service" {
			continue
		}
		host, port, err := net.SplitHostPort(c.echo(o.GetNamespace(), o.GetName()))
		if err != nil {
			return nil, nil, err
		}
		a := httproute.Address{Namespace: o.GetNamespace(), Name: o.GetName(), Host: host}
		if _, err := fmt.Sscan(port, &a.HostPort); err != nil {
			return nil, nil, err
		}
		options.Addresses = append(options.Addresses, a)
	}
	source := func(keep func(o unstructured.Unstructured) bool) []httproute.Source {
		items := []any{}
		for _, o := range all {
			if !isRoute(o) || keep(o) {
				items = append(items, o.Object)
			}
		}
		text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
		if err != nil {
			c.t.Fatal(err)
		}
		return []httproute.Source{{Name: "cluster", Data: text}}
	}
	problems := map[string][]httproute.Problem{}
	for _, o := range all {
		if isRoute(o) {
			key := keyOf(&o)
			_, problems[key] = httproute.Convert(source(func(r unstructured.Unstructured) bool { return keyOf(&r) == key }), options)
		}
	}
	out, wrong := httproute.Convert(source(func(r unstructured.Unstructured) bool { return !httproute.Failed(problems[keyOf(&r)]) }), options)
	if out == nil {
		return nil, problems, fmt.Errorf("the routes together: %v", wrong)
	}
	return out.Kong, problems, nil
}

func keyOf(o client.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// echo is the address of a Service's echo, which it starts.
func (c *cluster) echo(namespace, name string) string {
	key := namespace + "/" + name
	if c.echoes[key] == "" && strings.HasPrefix(name, "grpc-") {
		address, err := c.startGRPC(namespace, name)
		if err != nil {
			c.t.Fatal(err)
		}
		c.echoes[key] = address
	}
	if c.echoes[key] == "" {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.logs.add(namespace+"/"+podName(name), r)
			answer(w, r, namespace, name)
		}))
		c.t.Cleanup(server.Close)
		c.echoes[key] = server.Listener.Addr().String()
	}
	return c.echoes[key]
}

// answer answers as the suite's image echo-basic does.
func answer(w http.ResponseWriter, r *http.Request, namespace, service string) {
	if r.URL.Path == "/ws" {
		echoMessages.ServeHTTP(w, r)
		return
	}
	for _, list := range r.Header["X-Echo-Set-Header"] {
		for pair := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), ":")
			if before := w.Header()[name]; len(before) > 0 {
				value = before[0] + "," + strings.TrimSpace(value)
			}
			w.Header()[name] = []string{value}
		}
	}
	if delay, err := time.ParseDuration(r.FormValue("delay")); err == nil {
		time.Sleep(delay)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may have gone
		"path": r.RequestURI, "host": r.Host, "method": r.Method, "proto": r.Proto, "headers": r.Header,
		"namespace": namespace, "service": service, "pod": podName(service),
	})
}

// start starts the stand-in of a Gateway.
func (c *cluster) start() (*gateway, error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	c.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	g, err := standin.New(standin.Options{
		ProxyListen: "127.0.0.1:0 http2, 127.0.0.1:0 http2 ssl", SSLCert: c.certificate, SSLCertKey: c.certificate, AdminListen: "127.0.0.1:0", Prefix: dir, RouterFlavor: "expressions", Workers: 2, ErrorLog: log,
		PluginServers: []standin.PluginServer{{
			Name: "traffic-split", Socket: socket, QueryCmd: c.plugin + " -dump", StartCmd: c.plugin + " -socket " + socket,
		}},
	})
	if err != nil {
		return nil, err
	}
	if err := g.Start(); err != nil {
		return nil, err
	}
	c.t.Cleanup(func() { _ = g.Close(); _ = log.Close() })
	return &gateway{Gateway: g, address: fmt.Sprintf("127.0.1.%d", len(c.gateways)+1)}, nil
}

// createCertificate makes the Secret that the suite's Gateways have their certificate from.
func (c *cluster) createCertificate() {
	secret := kubernetes.MustCreateSelfSignedCertSecret(c.t, suite.InfrastructureNamespace, "tls-validity-checks-certificate", []string{"*", "*.org", "*.wildcard.org"})
	c.certificate = filepath.Join(c.t.TempDir(), "certificate")
	if err := os.WriteFile(c.certificate, slices.Concat(secret.Data["tls.crt"], secret.Data["tls.key"]), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Create(c.t.Context(), secret); err != nil {
		c.t.Fatal(err)
	}
}

// configure has a gateway go on with another configuration.
func (g *gateway) configure(config []byte) error {
	response, err := http.Post("http://"+g.AdminAddr()+"/config", "application/yaml", strings.NewReader(string(config)))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		var why json.RawMessage
		_ = json.NewDecoder(response.Body).Decode(&why)
		return fmt.Errorf("%s: %s\n%s", response.Status, why, config)
	}
	return nil
}

// reconcile converts what there is for each Gateway that has routes.
func (c *cluster) reconcile(ctx context.Context, w client.WithWatch) error {
	all, err := objects(ctx, w)
	if err != nil {
		return err
	}
	routes, err := routesOf(ctx, w)
	if err != nil {
		return err
	}
	var gateways gatewayv1.GatewayList
	if err := w.List(ctx, &gateways); err != nil {
		return err
	}
	problems := map[string][]httproute.Problem{}
	for i := range gateways.Items {
		gw := &gateways.Items[i]
		mine := slices.DeleteFunc(slices.Clone(all), func(o unstructured.Unstructured) bool {
			return o.GetKind() == "Gateway" && keyOf(&o) != keyOf(gw) || isRoute(o) && !refersTo(routes, keyOf(&o), gw)
		})
		hasRoutes := slices.ContainsFunc(mine, isRoute)
		if !hasRoutes && c.gateways[keyOf(gw)] == nil {
			gw.Status = gatewayStatus(gw, "", nil)
			if err := w.Status().Update(ctx, gw); err != nil {
				return err
			}
			continue
		}
		for j := range mine {
			if isRoute(mine[j]) {
				mine[j] = onlyParent(mine[j], gw)
			}
		}
		config, found, err := c.convert(mine)
		if err != nil {
			return err
		}
		for route, list := range found {
			problems[route] = append(problems[route], list...)
		}
		g := c.gateways[keyOf(gw)]
		if g == nil {
			if g, err = c.start(); err != nil {
				return err
			}
			c.gateways[keyOf(gw)] = g
		}
		if err := g.configure(config); err != nil {
			return err
		}
		gw.Status = gatewayStatus(gw, g.address, c.attached(mine, gw))
		if err := w.Status().Update(ctx, gw); err != nil {
			return err
		}
	}
	for _, r := range routes {
		*r.status = routeStatus(r, problems[keyOf(r)])
		for _, p := range problems[keyOf(r)] {
			c.t.Logf("%s: %s: %s (warning: %v)", keyOf(r), p.Path, p.Message, p.Warning)
		}
		if err := w.Status().Update(ctx, r.Object); err != nil {
			return err
		}
	}
	return nil
}

// A route is an HTTPRoute or a GRPCRoute.
type route struct {
	client.Object
	parents []gatewayv1.ParentReference
	status  *[]gatewayv1.RouteParentStatus
}

func routesOf(ctx context.Context, w client.WithWatch) (all []route, err error) {
	var http gatewayv1.HTTPRouteList
	var grpc gatewayv1.GRPCRouteList
	if err := errors.Join(w.List(ctx, &http), w.List(ctx, &grpc)); err != nil {
		return nil, err
	}
	for i := range http.Items {
		r := &http.Items[i]
		all = append(all, route{r, r.Spec.ParentRefs, &r.Status.Parents})
	}
	for i := range grpc.Items {
		r := &grpc.Items[i]
		all = append(all, route{r, r.Spec.ParentRefs, &r.Status.Parents})
	}
	return all, nil
}

func isParent(ref gatewayv1.ParentReference, namespace string, gw *gatewayv1.Gateway) bool {
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	return namespace == gw.Namespace && string(ref.Name) == gw.Name
}

func refersTo(routes []route, key string, gw *gatewayv1.Gateway) bool {
	return slices.ContainsFunc(routes, func(r route) bool {
		return keyOf(r) == key && slices.ContainsFunc(r.parents, func(ref gatewayv1.ParentReference) bool {
			return isParent(ref, r.GetNamespace(), gw)
		})
	})
}

// onlyParent is a route without its other parents.
func onlyParent(o unstructured.Unstructured, gw *gatewayv1.Gateway) unstructured.Unstructured {
	o = *o.DeepCopy()
	refs, _, _ := unstructured.NestedSlice(o.Object, "spec", "parentRefs")
	refs = slices.DeleteFunc(refs, func(ref any) bool {
		parent := ref.(map[string]any)
		namespace, ok := parent["namespace"].(string)
		if !ok {
			namespace = o.GetNamespace()
		}
		return namespace != gw.Namespace || parent["name"] != gw.Name
	})
	_ = unstructured.SetNestedSlice(o.Object, refs, "spec", "parentRefs")
	return o
}

func condition(kind, reason string, holds bool, generation int64) metav1.Condition {
	status := metav1.ConditionTrue
	if !holds {
		status = metav1.ConditionFalse
	}
	return metav1.Condition{Type: kind, Status: status, Reason: reason, ObservedGeneration: generation, LastTransitionTime: metav1.Now()}
}

// gatewayStatus says that all is well with a Gateway, how many routes each listener has, and
// what its address is; empty: it has none yet.
func gatewayStatus(gw *gatewayv1.Gateway, address string, attached map[gatewayv1.SectionName]int32) gatewayv1.GatewayStatus {
	kind := gatewayv1.IPAddressType
	var s gatewayv1.GatewayStatus
	if address != "" {
		s.Addresses = []gatewayv1.GatewayStatusAddress{{Type: &kind, Value: address}}
	}
	for _, name := range []string{"Accepted", "Programmed"} {
		meta.SetStatusCondition(&s.Conditions, condition(name, name, true, gw.Generation))
	}
	for _, l := range gw.Spec.Listeners {
		s.Listeners = append(s.Listeners, gatewayv1.ListenerStatus{
			Name: l.Name, AttachedRoutes: attached[l.Name], SupportedKinds: []gatewayv1.RouteGroupKind{{Kind: "HTTPRoute"}, {Kind: "GRPCRoute"}},
			Conditions: []metav1.Condition{
				condition("Accepted", "Accepted", true, gw.Generation),
				condition("ResolvedRefs", "ResolvedRefs", true, gw.Generation),
				condition("Programmed", "Programmed", true, gw.Generation),
			},
		})
	}
	return s
}

// routeStatus says what convert has said of a route.
func routeStatus(r route, problems []httproute.Problem) (parents []gatewayv1.RouteParentStatus) {
	resolved := "ResolvedRefs"
	for _, p := range problems {
		switch {
		case !strings.Contains(p.Path, "backendRefs"):
		case strings.Contains(p.Message, "ReferenceGrant"):
			resolved = "RefNotPermitted"
		case strings.Contains(p.Path, "kind"), strings.Contains(p.Path, "group"):
			resolved = "InvalidKind"
		default:
			resolved = "BackendNotFound"
		}
	}
	group, kind := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Kind("Gateway")
	for _, ref := range r.parents {
		if ref.Group == nil {
			ref.Group = &group
		}
		if ref.Kind == nil {
			ref.Kind = &kind
		}
		accepted := "Accepted"
		switch {
		case httproute.Failed(problems):
			accepted = "UnsupportedValue"
		case slices.ContainsFunc(problems, func(p httproute.Problem) bool { return isOfListeners(p) && strings.HasSuffix(p.Path, "hostnames") }):
			accepted = "NoMatchingListenerHostname"
		}
		parents = append(parents, gatewayv1.RouteParentStatus{
			ParentRef: ref, ControllerName: controllerName,
			Conditions: []metav1.Condition{
				condition("Accepted", accepted, accepted == "Accepted", r.GetGeneration()),
				condition("ResolvedRefs", resolved, resolved == "ResolvedRefs", r.GetGeneration()),
			},
		})
	}
	return parents
}
