package main

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strings"
)

// report is a request as Gateway API's echo-basic describes it.
// Bytes that are not UTF-8 arrive in it as U+FFFD, as JSON has no other way.
type report struct {
	Path      string              `json:"path"` // with the query, as it came
	Host      string              `json:"host"`
	Method    string              `json:"method"`
	Proto     string              `json:"proto"`
	Headers   map[string][]string `json:"headers"` // without Host
	HTTPPort  string              `json:"httpPort"`
	Namespace string              `json:"namespace"`
	Ingress   string              `json:"ingress"`
	Service   string              `json:"service"`
	Pod       string              `json:"pod"`
	TLS       *tlsReport          `json:"tls,omitempty"`
	SNI       string              `json:"sni"`
}

type tlsReport struct {
	Version            string `json:"version"`
	ServerName         string `json:"serverName"`
	NegotiatedProtocol string `json:"negotiatedProtocol,omitempty"`
	CipherSuite        string `json:"cipherSuite"`
}

func (h *handler) report(w http.ResponseWriter, r *http.Request, code int) {
	seen := report{
		Path: r.RequestURI, Host: r.Host, Method: r.Method, Proto: r.Proto, Headers: r.Header,
		HTTPPort: localPort(r), Namespace: h.namespace, Ingress: h.ingress, Service: h.service, Pod: h.name,
	}
	if t := r.TLS; t != nil {
		seen.SNI = t.ServerName
		seen.TLS = &tlsReport{
			Version:            strings.Replace(tls.VersionName(t.Version), "TLS ", "TLSv", 1),
			ServerName:         t.ServerName,
			NegotiatedProtocol: t.NegotiatedProtocol,
			CipherSuite:        tls.CipherSuiteName(t.CipherSuite),
		}
	}
	setHeaders(w.Header(), r.Header.Values("X-Echo-Set-Header"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(seen) // fails only where a status has no body, or nobody reads it
}

// setHeaders adds to a response's header what the client has asked for.
// net/http drops names and replaces bytes that HTTP does not allow.
func setHeaders(header http.Header, wanted []string) {
	for _, list := range wanted {
		for pair := range strings.SplitSeq(list, ",") {
			if name, value, found := strings.Cut(pair, ":"); found {
				header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
			}
		}
	}
}

func localPort(r *http.Request) string {
	address, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if address == nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(address.String())
	return port
}
