package standin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"time"
)

// selfSigned makes a certificate for listeners with ssl, valid for a day. Kong,
// too, makes one where it is given none.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost", Organization: []string{"Kong"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// prereadTimeout is how long nginx waits for a client's first bytes on a listener
// with ssl.
const prereadTimeout = 30 * time.Second

// errSeen ends a handshake whose first message has been seen.
var errSeen = errors.New("the client's first message was seen")

// peekServerName returns the name of the server that a client of TLS asks for,
// empty where it names none or does not speak TLS, and the connection with all
// that it has sent.
func peekServerName(conn net.Conn) (string, net.Conn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(prereadTimeout)); err != nil {
		return "", conn, err
	}
	var name string
	var seen bytes.Buffer
	peeked := rereadConn{conn, io.TeeReader(conn, &seen)}
	_ = tls.Server(silentConn{peeked}, &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name = hello.ServerName
			return nil, errSeen
		},
	}).Handshake() // it fails, in one way or another
	if seen.Len() == 0 {
		return "", conn, io.EOF
	}
	return name, rereadConn{conn, io.MultiReader(&seen, conn)}, conn.SetReadDeadline(time.Time{})
}

// rereadConn is a connection that is read through a reader.
type rereadConn struct {
	net.Conn
	r io.Reader
}

func (c rereadConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// silentConn drops what is written.
type silentConn struct{ net.Conn }

func (silentConn) Write(p []byte) (int, error) { return len(p), nil }
