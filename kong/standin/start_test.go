package standin

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStartThatFails says what `kong start` says.
func TestStartThatFails(t *testing.T) {
	dump := func(text string) []PluginServer {
		return []PluginServer{{Name: "fake", Socket: "/nowhere", QueryCmd: text}}
	}
	plain := `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"fake","Version":"1.0","Schema":{"fields":[%]}}]}`
	field := func(definition string) []PluginServer {
		return dump("echo '" + strings.Replace(plain, "%", definition, 1) + "'")
	}
	for _, tt := range []struct {
		name, config string
		options      Options
		want         string
	}{
		{
			"a config of a plugin", oneRoute("http://h", "", "plugins: [{name: key-auth, config: {key_names: [a b]}}]"),
			Options{},
			`error parsing declarative config file FILE:
in 'services':
  - in entry 1 of 'services':
    in 'routes':
      - in entry 1 of 'routes':
        in 'plugins':
          - in entry 1 of 'plugins':
            in 'config':
              in 'key_names':
                - in entry 1 of 'key_names': bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'`,
		},
		{
			"no YAML", "a: [",
			Options{},
			"error parsing declarative config file FILE:\nfailed parsing declarative configuration: line 1: did not find expected node content",
		},
		{"no dump", "", Options{PluginServers: dump("echo no")}, "failed loading external plugins: failed decoding plugin info: invalid character 'o' in literal null (expecting 'u')"},
		{"no plugin", "", Options{PluginServers: dump(`echo '{"Protocol":"ProtoBuf:1"}'`)}, `pluginserver fake: "echo '{\"Protocol\":\"ProtoBuf:1\"}'" dumps no plugin`},
		{"another protocol", "", Options{PluginServers: dump(`echo '{"Protocol":"MsgPack:1"}'`)}, `pluginserver fake: protocol "MsgPack:1" is not supported, only ProtoBuf:1`},
		{
			"no version", "",
			Options{PluginServers: dump(`echo '{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"fake","Version":"dev"}]}'`)},
			`plugin "fake" cannot be loaded because its VERSION field does not follow the "x.y.z" format, got: "dev"`,
		},
		{"a schema without config", "", Options{PluginServers: field("")}, "error loading plugin schemas: on plugin 'fake': it has no record 'config'"},
		{
			"a schema with an unknown attribute", "",
			Options{PluginServers: field(`{"config":{"type":"record","fields":[{"a":{"type":"string","lenmin":1}}]}}`)},
			"error loading plugin schemas: on plugin 'fake': fields.config: fields.a: lenmin: unknown field",
		},
		{
			"a schema with a malformed pattern", "",
			Options{PluginServers: field(`{"config":{"type":"record","fields":[{"a":{"type":"string","match":"[a"}}]}}`)},
			`error loading plugin schemas: on plugin 'fake': fields.config: fields.a: match: malformed pattern "[a": missing ']'`,
		},
		{"a plugin that is not there", "", Options{Plugins: []string{"cors"}}, "cors plugin is enabled but not installed"},
		{"no address", "", Options{ProxyListen: "8000"}, `proxy_listen: "8000" must be of form: <ip>:<port>: address 8000: missing port in address`},
		{"an unknown flag", "", Options{AdminListen: "127.0.0.1:1 proxy_protocol"}, `admin_listen: "127.0.0.1:1 proxy_protocol": the flag "proxy_protocol" is not supported`},
		{"a flag for requests only", "", Options{StreamListen: "127.0.0.1:1 ssl http2"}, `stream_listen: "127.0.0.1:1 ssl http2": the flag "http2" is not supported`},
		{"UDP", "", Options{StreamListen: "127.0.0.1:1 udp"}, `stream_listen: "127.0.0.1:1 udp": the flag "udp" is not supported`},
		{"no entry", "", Options{StreamListen: "127.0.0.1:1,"}, `stream_listen: "127.0.0.1:1," must be of form: [off] | <ip>:<port> [ssl], [... next entry ...]`},
		{"an unknown level", "", Options{LogLevel: "loud"}, `log_level: "loud" is not one of emerg, alert, crit, error, warn, notice, info, debug`},
		{"no query command", "", Options{PluginServers: []PluginServer{{Name: "fake"}}}, "query_command undefined for pluginserver fake"},
		{"no IP address", "", Options{TrustedIPs: []string{"here"}}, `trusted_ips: "here" is neither an address nor a CIDR block`},
		{"no address of a name", "", Options{Resolve: map[string]string{"a": "b"}}, `resolve a: "b" is not an IP address`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := t.TempDir() + "/kong.yml"
			config := tt.config
			if config == "" {
				config = emptyConfig
			}
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			tt.options.DeclarativeConfig, tt.options.ErrorLog = file, io.Discard
			g, err := New(tt.options)
			if err == nil {
				err = g.Start()
			}
			if err == nil {
				t.Fatal("it has started")
			}
			if diff := cmp.Diff(tt.want, strings.ReplaceAll(err.Error(), file, "FILE")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPortInUse leaves nothing running.
func TestPortInUse(t *testing.T) {
	g := startGateway(t, `_format_version: "3.0"`, Options{})
	for _, o := range []Options{{AdminListen: g.AdminAddr()}, {StreamListen: "127.0.0.1:0, " + g.AdminAddr()}} {
		o.ProxyListen, o.ErrorLog = "127.0.0.1:0", io.Discard
		other, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("got %v", err)
		}
	}
}

func TestOptionsOfTheEnvironment(t *testing.T) {
	got, err := FromEnv([]string{
		"KONG_DATABASE=off", "KONG_DECLARATIVE_CONFIG=/kong.yml", "KONG_PROXY_LISTEN=127.0.0.1:1 http2",
		"KONG_ADMIN_LISTEN=off", "KONG_STREAM_LISTEN=127.0.0.1:2 ssl", "KONG_PREFIX=/p", "KONG_PLUGINS=bundled, traffic-split",
		"KONG_PLUGINSERVER_NAMES=Traffic-Split,two", "KONG_PLUGINSERVER_TRAFFIC_SPLIT_SOCKET=/s",
		"KONG_PLUGINSERVER_TRAFFIC_SPLIT_QUERY_CMD=cat x", "KONG_PLUGINSERVER_TWO_START_CMD=two",
		"KONG_NGINX_WORKER_PROCESSES=3", "KONG_LOG_LEVEL=info", "KONG_TRUSTED_IPS=10.0.0.0/8,::1",
		"KONG_REAL_IP_HEADER=X-Forwarded-For", "KONG_ROUTER_FLAVOR=expressions", "KONG_SSL_CERT=/cert", "KONG_SSL_CERT_KEY=/key", "HOME=/root",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Options{
		DeclarativeConfig: "/kong.yml", ProxyListen: "127.0.0.1:1 http2", AdminListen: "off", StreamListen: "127.0.0.1:2 ssl", Prefix: "/p",
		Plugins: []string{"bundled", "traffic-split"},
		PluginServers: []PluginServer{
			{Name: "traffic-split", Socket: "/s", QueryCmd: "cat x"}, {Name: "two", StartCmd: "two"},
		},
		RouterFlavor: "expressions", SSLCert: "/cert", SSLCertKey: "/key",
		Workers: 3, LogLevel: "info", TrustedIPs: []string{"10.0.0.0/8", "::1"}, RealIPHeader: "X-Forwarded-For",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for env, want := range map[string]string{
		"KONG_DATABASE=postgres":             `database: "postgres" is not supported, only off`,
		"KONG_NGINX_WORKER_PROCESSES=plenty": `nginx_worker_processes: "plenty" is neither a number nor auto`,
	} {
		if _, err := FromEnv([]string{env}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// TestServerThatKongStarts is started, logged, started again, and ended.
func TestServerThatKongStarts(t *testing.T) {
	dir := t.TempDir()
	p := servePlugin(t, nil)
	servers := p.server()
	servers[0].StartCmd = "sh -c 'echo hello; echo run >> " + dir + "/runs; exec sleep 100'"
	log := &testLog{t: t}
	g := startGateway(t, `_format_version: "3.0"`, Options{PluginServers: servers, ErrorLog: log, LogLevel: "info"})
	runs := func() int {
		text, _ := os.ReadFile(dir + "/runs")
		return strings.Count(string(text), "run")
	}
	await(t, func() bool { return runs() == 1 })
	g.processes[0].signal(9)
	await(t, func() bool { return runs() == 2 })
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"[info]", "hello", "external pluginserver 'fake' terminated: signal: killed", "[pluginserver] started, pid"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log does not say %q", line)
		}
	}
}

// TestReloadOverlapsPluginServers has the former server run beside its
// successor for a while; both end with the gateway.
func TestReloadOverlapsPluginServers(t *testing.T) {
	p := servePlugin(t, nil)
	servers := p.server()
	servers[0].StartCmd = "sh -c 'sleep 0.2; echo listening; exec sleep 100'"
	log := &testLog{t: t}
	g := startGateway(t, `_format_version: "3.0"`, Options{PluginServers: servers, ErrorLog: log, LogLevel: "info"})
	listening := func(n int) func() bool {
		return func() bool { return strings.Count(log.String(), "] listening") == n }
	}
	await(t, listening(1))
	if err := g.Reload(); err != nil {
		t.Fatal(err)
	}
	await(t, listening(2))
	if strings.Contains(log.String(), "stopped") {
		t.Error("the former server was stopped before its successor listened")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "external pluginserver 'fake' terminated: signal: terminated"); n != 2 {
		t.Errorf("%d servers ended with the gateway, not 2", n)
	}
	if err := g.Reload(); err == nil || err.Error() != "the gateway is closed" {
		t.Errorf("a reload after that: %v", err)
	}
}

func TestCertificateThatIsNotThere(t *testing.T) {
	g, err := New(Options{ProxyListen: "127.0.0.1:0 ssl", AdminListen: "off", SSLCert: "/nowhere", SSLCertKey: "/nowhere", ErrorLog: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err == nil || err.Error() != "ssl_cert, ssl_cert_key: open /nowhere: no such file or directory" {
		t.Errorf("got %v", err)
	}
}
