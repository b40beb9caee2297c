// Echo is the backend of the demo and of the specs. It answers each request
// with what it received and says which backend it is:
//
//	/hostname        the name, as plain text without a newline
//	/                the greeting of Kong's go-echo, then the request's body
//	/status/N        the report below, with status N (200..599)
//	/delay/SECONDS   the report, that much later (0..60, fractions allowed)
//	anything else    a report of the request, in JSON, as Gateway API's echo-basic
//
// Every response names the backend in X-Echo-Name too. What a request asks for
// in X-Echo-Set-Header (name:value, comma-separated) appears in the header of
// its report; X-Echo-Set-Status (name=status, comma-separated) has the backend of
// that name answer as /status/N does, and leaves the others alone. A WebSocket handshake on any path opens an echo of messages, and
// grpc.health.v1.Health/Check answers on the same port that all is well. It speaks HTTP/1.1 and
// HTTP/2, without TLS (h2c with prior knowledge) or, with -tls, with a
// certificate that is made at the start and that nobody has reason to trust.
//
// With -log it writes a line for each request, which begins as echo-basic's does.
//
// Its environment is the one that Kong and Gateway API give their own echo
// servers: POD_NAME (the default of -name), NODE_NAME, POD_NAMESPACE or
// NAMESPACE, POD_IP, SERVICE_ACCOUNT, INGRESS_NAME, SERVICE_NAME.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line says.
type options struct {
	listen      string
	name        string
	tls         bool
	log         bool
	healthcheck bool
}

// run is main without the process around it. It returns the exit code: 0, 1
// for a failure, 2 for a command line that cannot be understood.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	o, err := parse(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if o.healthcheck {
		err = checkHealth(ctx, o)
	} else {
		err = serve(ctx, o, identityFrom(o.name, getenv), stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "echo:", err)
		return 1
	}
	return 0
}

// parse reads the command line. When it returns an error, it has written it to
// stderr.
func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:1027", "`address` to listen on; port 0 takes a free one")
	flags.StringVar(&o.name, "name", "", "`name` of this backend (default $POD_NAME, else the host's name)")
	flags.BoolVar(&o.tls, "tls", false, "serve TLS, with a self-signed certificate made at the start")
	flags.BoolVar(&o.log, "log", false, "write a line for each request")
	flags.BoolVar(&o.healthcheck, "healthcheck", false, "ask the echo that listens on -listen whether it answers, and exit 0 or 1")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q: echo takes flags only", flags.Arg(0))
		fmt.Fprintln(stderr, "echo:", err)
		flags.Usage()
		return o, err
	}
	if o.name = cmp.Or(o.name, getenv("POD_NAME")); o.name == "" {
		host, err := os.Hostname()
		if err != nil {
			fmt.Fprintln(stderr, "echo: no -name, no $POD_NAME, and the host does not know its name:", err)
			return o, err
		}
		o.name = host
	}
	return o, nil
}
