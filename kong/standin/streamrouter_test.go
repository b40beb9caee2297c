package standin

import (
	"net/netip"
	"testing"
)

func TestStreamRouter(t *testing.T) {
	r := newStreamRouter(loadConfig(t, `
routes:
- {name: http, paths: [/]}
- {name: port, protocols: [tcp], destinations: [{port: 9000}]}
- {name: from-net, protocols: [tcp], sources: [{ip: 10.0.0.0/8}]}
- {name: from-address, protocols: [tcp], sources: [{ip: 10.0.0.1}]}
- {name: from-port, protocols: [tcp], sources: [{port: 7}]}
- {name: both, protocols: [tcp], sources: [{ip: 10.0.0.2}], destinations: [{ip: 127.0.0.1, port: 9001}]}
- {name: name, protocols: [tls], snis: [a.example]}
- {name: names, protocols: [tls], snis: ["*.b.example", "c.*"], destinations: [{port: 9443}]}
- {name: six, protocols: [tcp, tls], destinations: [{ip: "fd00::/8", port: 1}, {ip: "::1"}]}
- {name: passed, protocols: [tls_passthrough], snis: [p.example]}
`))
	for _, tt := range []struct {
		source, destination, sni string // of TLS; empty: the client names no server
		want                     string
	}{
		{"1.1.1.1:1", "127.0.0.1:9000", "", "port"},
		{"10.2.3.4:1", "127.0.0.1:1", "", "from-net"},
		{"10.0.0.1:1", "127.0.0.1:1", "", "from-address"}, // an address is before a block
		{"10.0.0.1:7", "127.0.0.1:9000", "", "from-address"},
		{"10.0.0.3:7", "127.0.0.1:9000", "", "from-port"}, // sources are before destinations
		{"10.0.0.2:1", "127.0.0.1:9001", "", "both"},
		{"10.0.0.2:1", "127.0.0.2:9001", "", "from-net"},
		{"1.1.1.1:1", "127.0.0.1:1", "a.example", "name"},
		{"10.0.0.1:1", "127.0.0.1:1", "a.example", "name"}, // names are before sources
		{"1.1.1.1:1", "127.0.0.1:9443", "x.b.example", "names"},
		{"1.1.1.1:1", "127.0.0.1:9443", "c.test", "names"},
		{"1.1.1.1:1", "127.0.0.1:9444", "c.test", ""},
		{"1.1.1.1:1", "127.0.0.1:9443", "d.test", ""},
		{"1.1.1.1:1", "[fd00::5]:1", "", "six"},
		{"1.1.1.1:1", "[fd00::5]:2", "", ""},
		{"1.1.1.1:1", "[::1]:2", "", "six"},
		{"1.1.1.1:1", "127.0.0.1:1", "p.example", "passed"},
	} {
		got, _ := r.find(subject{
			tls: true, sni: tt.sni,
			source: netip.MustParseAddrPort(tt.source), destination: netip.MustParseAddrPort(tt.destination),
		})
		if name := routeName(got); name != tt.want {
			t.Errorf("%+v goes to %q", tt, name)
		}
	}
	// Names count for TLS only.
	plain := subject{source: netip.MustParseAddrPort("1.1.1.1:1"), destination: netip.MustParseAddrPort("127.0.0.1:1")}
	got, _ := r.find(plain)
	if name := routeName(got); name != "passed" && name != "name" {
		t.Errorf("without TLS it goes to %q", name)
	}
}

func routeName(m *match) string {
	if m == nil {
		return ""
	}
	return m.route.Name
}
