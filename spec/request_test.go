package spec

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// request is what a script sends. The strings are sent byte for byte, so that
// a script can send what no client library would.
type request struct {
	method, target string
	headers        []string // each "Name: value"
	body           string
	visitor        string // who sends it; empty: nobody that has been there before
	address        string // whom it is sent to; empty: where the gateway listens
	source         string // the address of this machine that it comes from; empty: 127.0.0.1
	noHost         bool   // it is sent in HTTP/1.0, which needs none
	cycle          int    // numbers go up to this one and begin again; 0: they never do
	tls            bool
	sni            string // the server name of TLS
	client         client
}

// answer is what came back.
type answer struct {
	status int
	header http.Header // with the trailer, where there is one
	body   []byte
}

// A client sends one request to an address and reads the answer.
type client func(address string, r request) (answer, error)

const (
	requestUsage = "[-http2 | -grpc | -websocket | -leave] [-nohost] [-X method] [-H 'Name: value']... [-d body | -size bytes] [-as visitor] [-to address] [-tls name] [-from address] [-cycle number] path"
	exchange     = 30 * time.Second // the longest that a request may take
)

// requestFlags are the flags of every command that sends requests.
func requestFlags(name string, r *request) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	r.method, r.client = http.MethodGet, sendHTTP1
	flags.StringVar(&r.method, "X", r.method, "")
	flags.StringVar(&r.body, "d", "", "")
	flags.Func("size", "", func(text string) error {
		size, err := strconv.Atoi(text)
		r.body = strings.Repeat("x", max(size, 0))
		return err
	})
	flags.Func("H", "", func(line string) error {
		r.headers = append(r.headers, unescape(line))
		return nil
	})
	flags.StringVar(&r.visitor, "as", "", "")
	flags.StringVar(&r.address, "to", "", "")
	flags.StringVar(&r.source, "from", "", "")
	flags.IntVar(&r.cycle, "cycle", 0, "")
	flags.BoolVar(&r.noHost, "nohost", false, "")
	flags.Func("tls", "", func(name string) error {
		r.tls, r.sni = true, name
		return nil
	})
	for name, client := range map[string]client{
		"http2": sendHTTP2, "grpc": callGRPC, "websocket": exchangeWebSocket, "leave": sendAndLeave,
	} {
		flags.BoolFunc(name, "", func(string) error {
			r.client = client
			return nil
		})
	}
	return flags
}

// unescape gives the bytes that \xff and the like in a script stand for.
func unescape(text string) string {
	if bytes, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`); err == nil {
		return bytes
	}
	return text
}

// cmdRequest sends one request through the gateway.
func (s *scene) cmdRequest(args []string) error {
	if s.gateway == nil {
		return errors.New("no gateway is running")
	}
	return s.send("request", "", args)
}

// cmdAdmin sends one request to the gateway's Admin API.
func (s *scene) cmdAdmin(args []string) error {
	if s.gateway == nil {
		return errors.New("no gateway is running")
	}
	return s.send("admin", s.gateway.admin, args)
}

// send sends one request, to an address or where the request says, and keeps the answer for the commands that look at it;
// its body is the standard output for stdout, cmp and cp.
func (s *scene) send(command, address string, args []string) error {
	var r request
	rest, err := parse(requestFlags(command, &r), args, command+" "+requestUsage, 1, 1)
	if err != nil {
		return err
	}
	r.target = unescape(rest[0])
	if address != "" {
		r.address = address
	}
	s.last, err = s.exchange(r)
	if err != nil {
		return err
	}
	s.ts.Logf("[answer] %d %v\n", s.last.status, s.last.header)
	_, err = s.ts.Stdout().Write(s.last.body)
	return err
}

// sendHTTP1 sends a request on a connection of its own.
func sendHTTP1(address string, r request) (answer, error) {
	conn, err := r.connect(address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	r.headers = append(r.headers[:len(r.headers):len(r.headers)], "Connection: close")
	if _, err := io.WriteString(conn, r.wire(address)); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.method})
	if r.address != "" && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) {
		return answer{}, nil // what can become of a TCP connection
	}
	if err != nil {
		return answer{}, err
	}
	return read(response)
}

// sendAndLeave sends a request and goes before there is an answer.
func sendAndLeave(address string, r request) (answer, error) {
	conn, err := r.connect(address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, r.wire(address))
	return answer{}, err
}

// connect opens the connection of a request.
func (r request) connect(address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: exchange}
	if r.source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(r.source)}
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(exchange)); err != nil || !r.tls {
		return conn, err
	}
	return tls.Client(conn, &tls.Config{ServerName: r.sni, InsecureSkipVerify: true}), nil
}

// numbered is the request as a script's number i of its kind: {i} in it stands for
// the number.
func (r request) numbered(i int) request {
	if r.cycle > 0 {
		i = (i-1)%r.cycle + 1
	}
	put := func(text string) string { return strings.ReplaceAll(text, "{i}", strconv.Itoa(i)) }
	r.target, r.visitor, r.source = put(r.target), put(r.visitor), put(r.source)
	headers := r.headers
	r.headers = nil
	for _, line := range headers {
		r.headers = append(r.headers, put(line))
	}
	return r
}

// wire is the request in HTTP/1.1, or 1.0.
func (r request) wire(address string) string {
	var b bytes.Buffer
	version := "1.1"
	if r.noHost {
		version = "1.0"
	}
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\n", r.method, r.target, version)
	if !r.noHost && !r.has("Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", address)
	}
	for _, line := range r.headers {
		fmt.Fprintf(&b, "%s\r\n", line)
	}
	switch {
	case r.has("Transfer-Encoding"): // in one chunk
		fmt.Fprintf(&b, "\r\n%x\r\n%s\r\n0\r\n\r\n", len(r.body), r.body)
	case r.body != "":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.body), r.body)
	default:
		b.WriteString("\r\n")
	}
	return b.String()
}

func (r request) has(header string) bool {
	for _, line := range r.headers {
		if name, _, _ := strings.Cut(line, ":"); strings.EqualFold(name, header) {
			return true
		}
	}
	return false
}

// read reads the rest of a response.
func read(response *http.Response) (answer, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	header := response.Header.Clone()
	for name, values := range response.Trailer {
		header[name] = append(header[name], values...)
	}
	return answer{status: response.StatusCode, header: header, body: body}, err
}

// backend is the name of the backend that answered; where the gateway answered
// itself, it is the status, and where nobody did, it is "nobody".
func (a answer) backend() string {
	if a.status == 0 {
		return "nobody"
	}
	if name := a.header.Get("X-Echo-Name"); name != "" {
		return name
	}
	return strconv.Itoa(a.status)
}
