package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"kong-traffic-split/kong/standin"
)

const standinLong = `Run a stand-in for a Kong Gateway 3.9 node without a database, to try and
test the plugin without Kong.

It is set up by Kong's environment variables: KONG_DECLARATIVE_CONFIG,
KONG_PROXY_LISTEN, KONG_STREAM_LISTEN, KONG_ADMIN_LISTEN, KONG_PREFIX,
KONG_ROUTER_FLAVOR, KONG_PLUGINS, KONG_PLUGINSERVER_NAMES, KONG_PLUGINSERVER_<NAME>_SOCKET,
_QUERY_CMD and _START_CMD, KONG_NGINX_WORKER_PROCESSES, KONG_LOG_LEVEL,
KONG_TRUSTED_IPS, KONG_REAL_IP_HEADER, KONG_SSL_CERT, KONG_SSL_CERT_KEY, KONG_DNS_RESOLVER
and KONG_DNS_HOSTSFILE. The flags win over them.

SIGHUP is kong reload: the dump and the declarative file are read again.
SIGTERM ends it once the requests in flight are done.

`

// standinFlags are the flags of splitctl standin.
type standinFlags struct {
	declarative, proxy, stream, admin string
	socket, query, start, flavor      string
	workers                           int
	resolve                           map[string]string
}

func standinCommand() *cobra.Command {
	var flags standinFlags
	cmd := &cobra.Command{
		Use:   "standin",
		Short: "Run a stand-in for Kong",
		Long:  standinLong + standin.Limits,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := standin.FromEnv(os.Environ())
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("workers") && flags.workers < 1 {
				return fmt.Errorf("--workers %d is less than 1", flags.workers)
			}
			flags.apply(&options)
			return runStandin(cmd.Context(), options, cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.declarative, "declarative-config", "", "the declarative `file`")
	f.StringVar(&flags.proxy, "proxy-listen", "", "`addresses` for clients, as in \"127.0.0.1:8000, 127.0.0.1:8443 ssl http2\"")
	f.StringVar(&flags.stream, "stream-listen", "", "`addresses` for TCP connections, as in \"127.0.0.1:9000, 127.0.0.1:9443 ssl\"")
	f.StringVar(&flags.admin, "admin-listen", "", "`addresses` of the Admin API")
	f.StringVar(&flags.socket, "plugin-socket", "", "the plugin server's socket, a `path`")
	f.StringVar(&flags.query, "plugin-query-cmd", "", "a shell `command` that prints the plugin server's dump")
	f.StringVar(&flags.start, "plugin-start-cmd", "", "a shell `command` that runs the plugin server")
	f.StringVar(&flags.flavor, "router-flavor", "", "traditional_compatible or expressions, a `flavor` (default: the former)")
	completeValues(cmd, "router-flavor", "traditional_compatible", "expressions")
	f.IntVar(&flags.workers, "workers", 0, "how many of nginx's workers to simulate")
	f.StringToStringVar(&flags.resolve, "resolve", nil, "an address in place of DNS, `name=address`; may be repeated")
	f.Lookup("resolve").DefValue = "" // help would show the default []
	return cmd
}

// pluginName is the name of the plugin, and of the plugin server that flags add.
const pluginName = "traffic-split"

// apply overrides the environment by the flags.
func (f standinFlags) apply(o *standin.Options) {
	for to, value := range map[*string]string{
		&o.DeclarativeConfig: f.declarative,
		&o.ProxyListen:       f.proxy, &o.StreamListen: f.stream, &o.AdminListen: f.admin,
		&o.RouterFlavor: f.flavor,
	} {
		if value != "" {
			*to = value
		}
	}
	if f.workers > 0 {
		o.Workers = f.workers
	}
	if f.resolve != nil {
		o.Resolve = f.resolve
	}
	if f.socket == "" && f.query == "" && f.start == "" {
		return
	}
	if len(o.PluginServers) == 0 {
		o.PluginServers = []standin.PluginServer{{Name: pluginName}}
		o.Plugins = append(o.Plugins, pluginName)
	}
	server := &o.PluginServers[0]
	for to, value := range map[*string]string{
		&server.Socket: f.socket, &server.QueryCmd: f.query, &server.StartCmd: f.start,
	} {
		if value != "" {
			*to = value
		}
	}
}

// startError is the beginning of nginx's message that Kong cannot start.
const startError = "nginx: [error] init_by_lua error:"

// runStandin runs a gateway until ctx ends. It logs to out.
func runStandin(ctx context.Context, options standin.Options, out io.Writer) error {
	// Before it says that it listens: from then on it may be asked to reload.
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	options.ErrorLog = out
	gateway, err := standin.New(options)
	if err != nil {
		return err
	}
	err = gateway.Start()
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("nginx: [emerg] %w", err) // it cannot listen
	}
	if err != nil {
		return fmt.Errorf("%s %w", startError, err)
	}
	for _, address := range gateway.ProxyAddrs() {
		fmt.Fprintln(out, "proxy listening on", address)
	}
	for _, address := range gateway.StreamAddrs() {
		fmt.Fprintln(out, "stream listening on", address)
	}
	for _, address := range gateway.AdminAddrs() {
		fmt.Fprintln(out, "admin listening on", address)
	}
	for {
		select {
		case <-ctx.Done():
			return gateway.Close()
		case <-reload:
			if err := gateway.Reload(); err != nil {
				fmt.Fprintln(out, startError, err)
			}
		}
	}
}
