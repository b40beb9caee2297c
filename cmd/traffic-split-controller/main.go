// Command traffic-split-controller runs beside the plugin server in Kubernetes. It watches
// the HTTPRoutes and GRPCRoutes that have the plugin, and keeps their splits in the split
// file that the server reads: so a weight that is changed there is in effect within about
// 0.2 seconds, with no reload of Kong. This package only wires the rooms of the controller
// together.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"kong-traffic-split/cmd/traffic-split-controller/cluster"
	"kong-traffic-split/cmd/traffic-split-controller/controller"
	"kong-traffic-split/cmd/traffic-split-controller/splits"
)

const name = "traffic-split-controller"

type options struct {
	file, kubeconfig, listen string
	secretFile               string
	linger                   time.Duration
	splits                   splits.Options
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2) // parse has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.file, "file", "", "`path` of the split file to keep: what the plugin server has as its -file. Its folder is on a volume of both")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`path` of a kubeconfig (default: the service account of this pod)")
	flags.StringVar(&o.listen, "listen", "", "serve /readyz, /healthz and /metrics on this `address:port`, such as :8008 (default: nowhere)")
	flags.StringVar(&o.splits.ClusterDomain, "cluster-domain", "cluster.local", "the `domain` of the cluster, in which Services are NAME.NAMESPACE.svc.DOMAIN")
	flags.Func("router-flavor", "Kong's router_flavor, on which the names of its routes depend: traditional (the default, as of Kong's chart), traditional_compatible or expressions", func(s string) error {
		switch s {
		case "traditional", "traditional_compatible":
			o.splits.Expressions = false
		case "expressions":
			o.splits.Expressions = true
		default:
			return errors.New("not traditional, traditional_compatible or expressions")
		}
		return nil
	})
	flags.StringVar(&o.splits.IngressClass, "ingress-class", "kong", "the `class` of Kong's ingress controller: KongClusterPlugins of other classes are not for its Kong")
	flags.StringVar(&o.secretFile, "session-secret-file", "", "`path` of a file with the key that signs the cookies of a route's sessionPersistence, 16 characters at least, such as a mounted Secret (default: such routes are refused)")
	flags.BoolVar(&o.splits.Outcomes, "outcomes", false, "the plugin server runs with -outcomes, too: so guards and passive health checks in the config of KongPlugins are accepted")
	flags.DurationVar(&o.linger, "linger", time.Minute, "how long the split of a deleted route stays in the file, for Kong's ingress controller to take the Kong route away first")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "%s keeps the splits of the cluster's HTTPRoutes and GRPCRoutes in the split file of the plugin server beside it.\n\nFlags:\n", name)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: %s takes flags only", flags.Arg(0), name)
	case o.file == "":
		err = errors.New("-file is missing: the path of the split file to keep")
	case o.linger < 0:
		err = fmt.Errorf("-linger: %s is negative", o.linger)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
	}
	return o, err
}

func run(ctx context.Context, o options, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	klog.SetSlogLogger(log)
	if o.secretFile != "" {
		secret, err := os.ReadFile(o.secretFile)
		if err != nil {
			return err
		}
		o.splits.SessionSecret = strings.TrimRight(string(secret), "\r\n")
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = name
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	events, shutdown, err := recorder(config)
	if err != nil {
		return err
	}
	defer shutdown()
	api, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	objects, err := cluster.New(client, api, log)
	if err != nil {
		return err
	}
	file, err := controller.Open(o.file)
	if err != nil {
		log.Error("the split file from before cannot be used", "error", err)
	}
	c := &controller.Controller{
		Cluster: objects, Maker: splits.NewMaker(o.splits), File: file, Events: events, Log: log, Linger: o.linger,
	}
	if o.listen != "" {
		closing, err := serve(o.listen, c.Handler(), log)
		if err != nil {
			return err
		}
		defer closing()
	}
	log.Info("watching", "api_server", config.Host, "file", o.file)
	var running sync.WaitGroup
	running.Go(func() { objects.Run(ctx) })
	c.Run(ctx)
	running.Wait()
	return nil
}

// recorder writes events of objects. It drops some where there are too many.
func recorder(config *rest.Config) (record.EventRecorder, func(), error) {
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: name}), broadcaster.Shutdown, nil
}

// serve serves HTTP until its result is called.
func serve(address string, handler http.Handler, log *slog.Logger) (func(), error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("health and metrics cannot be served any more", "error", err)
		}
	}()
	return func() { server.Close() }, nil
}
