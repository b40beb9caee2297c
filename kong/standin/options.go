package standin

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"kong-traffic-split/kong/declarative"
)

// Options say how a gateway is set up. Names and values are Kong's.
type Options struct {
	// DeclarativeConfig is the path of a declarative file; empty: no routes.
	DeclarativeConfig string
	// ProxyListen and AdminListen list addresses with flags, as in
	// "127.0.0.1:8000, 127.0.0.1:8443 ssl http2"; "off": none. Port 0 is a
	// free one. Defaults: 127.0.0.1:8000 and 127.0.0.1:8001.
	ProxyListen, AdminListen string
	// SSLCert and SSLCertKey are files in PEM, of the certificate that listeners with ssl
	// have; empty: they make one.
	SSLCert, SSLCertKey string
	// StreamListen lists those for TCP connections, as in
	// "127.0.0.1:9000, 127.0.0.1:9443 ssl". Default: off.
	StreamListen string
	// Prefix is the folder of the default sockets. Default: /usr/local/kong.
	Prefix string
	// Plugins are those that are enabled. "bundled" stands for Kong's own
	// that are known here, see the package's comment. Default: bundled, and those of PluginServers.
	Plugins []string
	// PluginServers are those that Kong starts or connects to.
	PluginServers []PluginServer
	// RouterFlavor is traditional_compatible or expressions. Default: the former.
	RouterFlavor string
	// Workers is how many of nginx's workers are simulated. Default: one for
	// each CPU.
	Workers int
	// LogLevel is the least severe level that is logged. Default: notice.
	LogLevel string
	// ErrorLog is where the error log goes. Default: standard error.
	ErrorLog io.Writer
	// Resolve gives names the addresses that DNS would.
	Resolve map[string]string
	// DNSResolver is the address of a DNS server, ip:port; empty: the system's.
	DNSResolver string
	// TrustedIPs are addresses and CIDR blocks of proxies whose RealIPHeader
	// (default X-Real-IP) and X-Forwarded-* are believed.
	TrustedIPs   []string
	RealIPHeader string
}

// A PluginServer is one of Kong's external plugin servers.
type PluginServer struct {
	// Name is that of KONG_PLUGINSERVER_NAMES.
	Name string
	// Socket is the path of the server's socket. Default: PREFIX/NAME.socket.
	Socket string
	// QueryCmd is a shell command that prints the server's dump.
	QueryCmd string
	// StartCmd is a shell command that runs the server; empty: it is run by
	// somebody else.
	StartCmd string
}

// FromEnv reads options from Kong's environment variables, given as by
// os.Environ.
func FromEnv(environ []string) (Options, error) {
	env := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, "KONG_") && value != "" {
			env[name] = value
		}
	}
	if database := env["KONG_DATABASE"]; database != "" && database != "off" {
		return Options{}, fmt.Errorf("database: %q is not supported, only off", database)
	}
	o := Options{
		DeclarativeConfig: env["KONG_DECLARATIVE_CONFIG"],
		ProxyListen:       env["KONG_PROXY_LISTEN"],
		StreamListen:      env["KONG_STREAM_LISTEN"],
		AdminListen:       env["KONG_ADMIN_LISTEN"],
		SSLCert:           env["KONG_SSL_CERT"],
		SSLCertKey:        env["KONG_SSL_CERT_KEY"],
		Prefix:            env["KONG_PREFIX"],
		Plugins:           list(env["KONG_PLUGINS"]),
		RouterFlavor:      env["KONG_ROUTER_FLAVOR"],
		LogLevel:          env["KONG_LOG_LEVEL"],
		TrustedIPs:        list(env["KONG_TRUSTED_IPS"]),
		RealIPHeader:      env["KONG_REAL_IP_HEADER"],
		DNSResolver:       env["KONG_DNS_RESOLVER"],
	}
	if n := env["KONG_NGINX_WORKER_PROCESSES"]; n != "" && n != "auto" {
		workers, err := strconv.Atoi(n)
		if err != nil || workers < 1 {
			return o, fmt.Errorf("nginx_worker_processes: %q is neither a number nor auto", n)
		}
		o.Workers = workers
	}
	for _, name := range list(env["KONG_PLUGINSERVER_NAMES"]) {
		name = strings.ToLower(name)
		prefix := "KONG_PLUGINSERVER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		o.PluginServers = append(o.PluginServers, PluginServer{
			Name:     name,
			Socket:   env[prefix+"_SOCKET"],
			QueryCmd: env[prefix+"_QUERY_CMD"],
			StartCmd: env[prefix+"_START_CMD"],
		})
	}
	if o.Plugins == nil {
		o.Plugins = []string{"bundled"}
	}
	var err error
	if path := env["KONG_DNS_HOSTSFILE"]; path != "" {
		o.Resolve, err = readHosts(path)
	}
	return o, err
}

// readHosts reads a file of addresses, each with its names behind it.
func readHosts(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dns_hostsfile: %w", err)
	}
	hosts := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		for i, field := range strings.Fields(line) {
			if i > 0 {
				hosts[strings.TrimSuffix(field, ".")] = strings.Fields(line)[0]
			}
		}
	}
	return hosts, nil
}

// list splits a value at commas.
func list(value string) []string {
	var all []string
	for _, element := range strings.Split(value, ",") {
		if element = strings.TrimSpace(element); element != "" {
			all = append(all, element)
		}
	}
	return all
}

// settings are options that were checked, with the defaults filled in.
type settings struct {
	Options
	proxy, stream, admin []listener
	level                level
	trusted              []netip.Prefix
	flavor               declarative.Flavor
}

// pluginServerFolder is where Kong looks for a server it is given no command for.
const pluginServerFolder = "/usr/local/bin"

func (o Options) check() (settings, error) {
	s := settings{Options: o}
	var errs [6]error
	s.proxy, errs[0] = parseListen("proxy_listen", cmp.Or(o.ProxyListen, "127.0.0.1:8000"), httpFlags)
	s.admin, errs[1] = parseListen("admin_listen", cmp.Or(o.AdminListen, "127.0.0.1:8001"), httpFlags)
	s.stream, errs[2] = parseListen("stream_listen", cmp.Or(o.StreamListen, "off"), streamFlags)
	s.level, errs[3] = parseLevel(o.LogLevel)
	s.trusted, errs[4] = parsePrefixes(o.TrustedIPs)
	s.flavor, errs[5] = declarative.ParseFlavor(o.RouterFlavor)
	s.Prefix = cmp.Or(o.Prefix, "/usr/local/kong")
	s.RealIPHeader = cmp.Or(o.RealIPHeader, "X-Real-IP")
	if s.Workers == 0 {
		s.Workers = runtime.NumCPU()
	}
	if s.ErrorLog == nil {
		s.ErrorLog = os.Stderr
	}
	s.PluginServers = nil
	for _, server := range o.PluginServers {
		server, err := server.withDefaults(s.Prefix)
		if err != nil {
			return s, err
		}
		s.PluginServers = append(s.PluginServers, server)
	}
	if _, err := netip.ParseAddrPort(o.DNSResolver); o.DNSResolver != "" && err != nil {
		return s, fmt.Errorf("dns_resolver: %q is not one address with a port, as in 127.0.0.1:53", o.DNSResolver)
	}
	for name, address := range o.Resolve {
		if net.ParseIP(address) == nil {
			return s, fmt.Errorf("resolve %s: %q is not an IP address", name, address)
		}
	}
	return s, errors.Join(errs[:]...)
}

func (p PluginServer) withDefaults(prefix string) (PluginServer, error) {
	p.Socket = cmp.Or(p.Socket, filepath.Join(prefix, p.Name+".socket"))
	executable := filepath.Join(pluginServerFolder, p.Name)
	if _, err := os.Stat(executable); err == nil {
		p.StartCmd = cmp.Or(p.StartCmd, executable)
		p.QueryCmd = cmp.Or(p.QueryCmd, executable+" -dump")
	}
	if p.QueryCmd == "" {
		return p, fmt.Errorf("query_command undefined for pluginserver %s", p.Name)
	}
	return p, nil
}

func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted_ips: %w", err)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// parsePrefix reads a CIDR block, or an address as one of its own.
func parsePrefix(text string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return prefix.Masked(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a CIDR block", text)
	}
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// enabled lists the names of the enabled plugins. Without a choice these are
// the bundled ones and those of the servers.
func (s settings) enabled(external []externalPlugin) []string {
	property := s.Plugins
	if property == nil {
		property = []string{"bundled"}
		for _, p := range external {
			property = append(property, p.name)
		}
	}
	return declarative.Enabled(property)
}
