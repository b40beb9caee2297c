// Package spec owns the end-to-end scenarios: scripts in testdata that run the
// plugin server behind a gateway and say what a client, a backend and a reader
// of the logs see. It also owns what must hold for the project as a whole: the
// rules of the house, the documentation, the calls of Kong's PDK and their cost.
//
// The same scripts run on the stand-in gateway and on a real Kong:
//
//	go test ./spec
//	SPEC_KONG=/usr/local/bin/kong SPEC_WORKERS=4 go test ./spec
//
// SPEC_KONG is Kong's executable; SPEC_WORKERS is the number of workers of
// either gateway, 2 where it is not set. One script runs by its name:
//
//	go test ./spec -run TestScenarios/guide
//
// A script is a txtar archive for testscript (github.com/rogpeppe/go-internal):
// commands, then files. Each script has processes, ports and files of its own;
// they end with it, and where it fails, it shows their logs. Variables ($echo)
// stand in the files too, and there are moments among them: $now, $now_minus_30m
// and $now_plus_1h, in the form of RFC 3339. Beside testscript's own commands there are these; [!]
// says that a command may be negated.
//
// What runs:
//
//	port variable...
//	    finds a free port for each of the variables
//	backend [-listen address] [-tls] [-log] [-name name] variable
//	    starts an echo, by default on a free port of 127.0.0.1 and with the
//	    variable's name as its own; sets $variable to its address and
//	    $variable_port to its port; with -log it writes a line for each request
//	dns variable [name=[address,...|port@name,...]]...
//	    starts a DNS server that knows these names, for a second each time: addresses,
//	    or SRV records, and of a name without any it says nothing at all; sets
//	    $variable to its address. Where it runs already, it knows these from now on
//	backend stop variable | backend start variable
//	    stops it, or starts it again where it was
//	backend hang variable | backend resume variable
//	    stops that echo, which takes connections then and says nothing, or has
//	    it go on
//	plugin [-faulty] [-outcomes] [-status-listen address] [-file splits.yaml] [-state file] [-files number] [-hang-timeout time]
//	    starts the plugin server, with a split file or without; with -state it
//	    saves its state there; with -files it may have so many files open; with
//	    -hang-timeout its serving process may leave its parent without an answer for
//	    so long; with -faulty it is one whose handler fails when a request asks for it, see
//	    spec/faulty;
//	    $socket is its socket, $splits its split file, $bin the folder of the
//	    executables
//	plugin stop | plugin start | plugin reload
//	    stops it, starts it again, or sends it SIGHUP
//	plugin kill number | plugin upgrade number
//	    under load, kills the process that serves (SIGKILL), or has it replaced
//	    (SIGUSR2), that often, each time when 200 more requests were answered
//	plugin hang number
//	    likewise, stops that process (SIGSTOP), which its parent has to replace
//	plugin pause time
//	    stops that process for so long, and has it go on
//	plugin kill keeper
//	    kills the parent of the process that serves, which has to end by itself
//	plugin kill stillborn number
//	    with -faulty, kills the process that serves, has so many of the next ones
//	    die before they are ready, and waits for that; each has to be started
//	    later than the one before it
//	plugin files number
//	    the process that serves may have so many files open from now on
//	stranger kind number
//	    has somebody else than Kong connect to the plugin server's socket, that
//	    often: one that announces 4 GiB, babbles what is no message, says-nothing
//	    in a frame, breaks-off or falls-silent in the middle of one, goes at once,
//	    numbers-oddly its calls, never-reads, or reads-slowly
//	memory MiB
//	    the process that serves has no more resident memory than that
//	[!] gateway [-http2] [-https port] [-managed [-standby]] [-postgres] [-workers number] [-conf name=value]... kong.yml
//	    starts the gateway with a declarative file and waits until it serves;
//	    $declarative is that file, $admin the address of its Admin API, $proxy that of its proxy, $proxy_port the port;
//	    beside ours, the plugins key-auth, request-termination, redirect,
//	    request-transformer, response-transformer, post-function and file-log are enabled:
//	    key-auth comes before ours, refuses who has no key, and throws
//	    where its config names an anonymous consumer that does not exist;
//	    request-termination comes after ours;
//	    with -postgres it has a database, which the services, routes and plugins
//	    of the file are put into;
//	    with -https it listens there too; with -managed it starts the plugin
//	    server itself, with -takeover unless -standby is there; -workers are
//	    so many, in place of SPEC_WORKERS; -conf is a setting of kong.conf, such as
//	    stream_listen=127.0.0.1:$port; negated, it has to refuse to start, and
//	    stderr is what it says
//	gateway reload
//	    reloads one that was started with -managed, and waits until the plugin
//	    server of its new workers serves and the former one was stopped
//	[!] config [-times number] kong.yml...
//	    gives the running gateway another declarative file and waits until all
//	    its workers have it, and so on, again and again; negated, the gateway
//	    has to refuse it, and stdout is what is wrong, a line for each thing
//	refused config 'field: message'...
//	    the gateway refuses this config of the plugin with exactly these messages
//	accepted config
//	    the gateway takes this config of the plugin
//	splits splits.yaml
//	    replaces the split file and waits until the plugin server says of it
//	    that it is in force or wrong
//	expand file...
//	    puts the values of variables into files, for commands that read these
//	    themselves
//	rewrite number splits.yaml
//	    replaces the split file that often under load, each time when an answer
//	    has named the revision before; {revision} in the file is the revision's
//	    number, which answers have in X-Revision
//
// Requests, each on a connection of its own:
//
//	request [flags] path
//	    sends one request through the gateway; stdout is the answer's body
//	admin [flags] path
//	    sends one to the gateway's Admin API
//	requests [flags] [-c concurrency] [-by header] number path...
//	    sends a number of requests, to the paths in turn, and adds the answers
//	    to the tally; {i} in a path or a flag is the request's number
//	settle [flags] path name...
//	    sends requests until the latest 20 answers have come from these, all of
//	    them; none is in the tally
//	alike [flags] row path...
//	    sends each request twice, with the header X-Row: row-service and with
//	    X-Row: row-split: the backend has to receive the same, or the gateway to
//	    answer the same
//	moved [from>to=number]...
//	    since the last moved, so many visitors were answered by another backend
//	    than the time before, and no others
//	load start [flags] [-c concurrency] [-pause duration] [-by header] path
//	    sends requests until the load is stopped; each of those that run at the
//	    same time pauses between two, for 20ms by default
//	load await name...
//	    waits until the latest 20 answers have come from these, all of them
//	load stop
//	    stops the load, adds the answers to the tally, and fails where one was
//	    not a success, or was decided by a revision that should not have decided it
//
// The flags are -X method, -H 'Name: value' (any number), -d body, -size bytes (a body that is so long; either is
// one chunk where there is a header Transfer-Encoding), and one of
// -http2, -grpc (an empty message to the method that the path names),
// -websocket (the body is a message, stdout the one that comes back) and -leave
// (does not wait for the answer). \xff in a path or a header is that byte. A
// request is sent
//
//	-as visitor
//	    with the cookies that the visitor of this name was given before
//	-to address
//	    to another address than the gateway's proxy_listen: by a TCP route
//	-tls name
//	    over TLS, to a server of this name
//	-nohost
//	    in HTTP/1.0 and without a Host header
//	-from address
//	    from this address, such as 127.0.0.2
//	-cycle number
//	    as one of so many: the requests' own numbers, {i}, begin again behind it
//
// The tally counts by the backend that answered, by the status where the
// gateway answered itself, as nobody where a TCP connection was closed, or by the
// header that -by names:
//
//	counts name=number...
//	    the tally since the last counts is exactly this
//	served name...
//	    in the tally since the last counts are exactly these, with any numbers
//
// The last answer and the logs:
//
//	status code
//	message text
//	    the answer is {"message": text}
//	[!] header name [value]...
//	    the answer has this header, with exactly these values
//	[!] setcookie regexp
//	    one of the answer's Set-Cookie headers matches
//	[!] received path|host|method|proto|sni value
//	[!] received header name [value]...
//	    what the backend that answered had received
//	[!] errorlog regexp
//	    the gateway's error log has a match; it is waited for
//	[!] pluginlog regexp
//	    the same of what the plugin server writes
//	[!] written file regexp
//	    the same of a file that the script's gateway writes
//	[!] echoed variable regexp
//	    the same of what that backend writes for each request, with -log
//	[!] metrics address regexp
//	    the same of what the plugin server shows there with -status-listen: what
//	    becomes of a request it is told only after the client has the answer, and
//	    of several in any order
//	alerts address [name]...
//	    exactly these alerts of kong/observability fire, if what the plugin server
//	    shows there stays as it is for two hours, and what has been counted since the
//	    last alerts is counted again in each minute of them; this is waited for.
//	    Nothing is done where there is no promtool
//	dashboard address
//	    each query of the dashboard in kong/observability and of
//	    docs/observability.md has an answer, with the labels by which the dashboard
//	    calls it, by the series of the last alerts, which have a split shop with a
//	    backend canary, of one server and of two; and promtool check metrics finds
//	    nothing. Nothing is done where there is no promtool
//
// The condition [kong] says that the gateway is a real Kong, for the little that
// the stand-in does not have; [postgres] that this can have a database; [ipv6] says that this machine has ::1, [root] that
// root runs the scripts, [mount] that they may mount file systems of their own.
package spec
