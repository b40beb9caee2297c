package standin

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// tunnel connects a client and a Service that have both switched to another
// protocol, such as WebSocket, until one of them ends it.
func (x *exchange) tunnel(response *http.Response) {
	service, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		x.send(x.unexpectedAnswer(http.StatusBadGateway))
		return
	}
	defer service.Close()
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil { // HTTP/2 has no switch
		x.send(x.unexpectedAnswer(http.StatusBadGateway))
		return
	}
	defer conn.Close()
	if !x.gateway.track(conn) {
		return
	}
	defer x.gateway.untrack(conn)
	header := http.Header{}
	upgrade := response.Header.Get("Upgrade")
	x.copyResponseHeader(header, response)
	header.Del("Content-Length")
	x.addProxyHeaders(header)
	header.Set("X-Kong-Request-Id", x.id)
	header.Set("Connection", "upgrade")
	header.Set("Upgrade", upgrade)
	x.status, x.sentHeader = response.StatusCode, header
	response.Header, response.Body = header, nil // Write writes no body, then
	if response.Write(buffered.Writer) != nil || buffered.Writer.Flush() != nil {
		return
	}
	n, _ := splice(conn, buffered.Reader, service)
	x.sent += n
}

// splice copies both ways until one of the two ends it, as nginx does without
// proxy_half_close. It closes both, and returns how many bytes went to each.
func splice(client net.Conn, fromClient io.Reader, service io.ReadWriteCloser) (toClient, toService int64) {
	var both sync.WaitGroup
	both.Go(func() {
		toService, _ = io.Copy(service, fromClient) // either end may go at any time
		_ = service.Close()
	})
	toClient, _ = io.Copy(client, service)
	_ = client.Close()
	both.Wait()
	return toClient, toService
}
