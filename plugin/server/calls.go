package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync/atomic"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"kong-traffic-split/kong/wire"
)

const (
	// exitMethod is the call after which Kong answers the client, and closes
	// the connection instead of replying.
	exitMethod = "kong.response.exit"
	// pdkPrefix is how the name of each method begins, and how no arguments
	// begin: they are protobuf messages, and none of Kong's has a group as its
	// field 13, which is what a leading k would be.
	pdkPrefix = "kong."
)

var (
	errOver    = errors.New("kong is used after Handle has returned or the response was sent")
	errNoCall  = errors.New("a reply is awaited without a call")
	emptyFrame = wire.AppendFrame(nil, nil)
)

// maxOwed and maxUnsent are how many replies to silent calls, and how many bytes
// of calls, may be outstanding. More would wait for a reader on either side, at
// the same time, once the socket's buffers are full.
const (
	maxOwed   = 64
	maxUnsent = 32 << 10
)

// calls is the connection that go-pdk has during one event. It collects what
// go-pdk writes (a method and its arguments, each with its length: four writes)
// and sends it, in one write, only when a reply has to be waited for or the
// event ends. The reply to a call that returns nothing is made up at once, and
// Kong's own is dropped when it comes.
//
// Where go-pdk cannot encode the arguments (a string that is not UTF-8), it has
// written the method already, and gives up. Such a call is never sent: what
// follows the method is another method or the end of the event.
type calls struct {
	net.Conn // addresses and deadlines, which go-pdk does not use
	conn     *conn

	// Offsets in conn.out.
	whole int // the end of the last call that is complete
	frame int // the start of the frame that is being written
	args  bool

	facts []fact // what was read before the handler asked for it
	later []Read // what is read together once the handler asks for one of these
	next  int    // which of later it has asked for just now; -1: none
	asked bool   // the last call's reply has to be waited for
	reply []byte // what go-pdk has not read yet of a reply
	err   error  // why the connection cannot be used any more
	over  atomic.Bool
}

// fact is a call that Kong has answered before the handler has made it.
type fact struct {
	Read
	start, end int // of the reply, in conn.facts
}

func newCalls(c *conn) *calls {
	return &calls{Conn: c.sock, conn: c, next: -1}
}

// Write takes bytes of calls. It sends nothing.
func (k *calls) Write(p []byte) (int, error) {
	if k.over.Load() {
		return 0, errOver
	}
	if k.err != nil {
		return 0, k.err
	}
	k.conn.out = append(k.conn.out, p...)
	for {
		rest := k.conn.out[k.frame:]
		if len(rest) < len(emptyFrame) {
			return len(p), nil
		}
		end := len(emptyFrame) + int(binary.LittleEndian.Uint32(rest))
		if len(rest) < end {
			return len(p), nil
		}
		k.endFrame(rest[len(emptyFrame):end])
	}
}

// endFrame takes note of a frame that is complete and has this body.
func (k *calls) endFrame(body []byte) {
	end := k.frame + len(emptyFrame) + len(body)
	if k.args && !bytes.HasPrefix(body, []byte(pdkPrefix)) {
		k.args = false
		k.endCall(body, end)
		return
	}
	k.conn.method = append(k.conn.method[:0], body...)
	if k.args { // the method before this one has got no arguments
		k.conn.out = append(k.conn.out[:k.whole], k.conn.out[k.frame:]...)
		end -= k.frame - k.whole
	}
	k.args = true
	k.frame = end
}

// endCall takes note of a call that is complete, and finds its reply if that is
// known already.
func (k *calls) endCall(args []byte, end int) {
	known := k.fact(args)
	if known == nil {
		k.next = slices.IndexFunc(k.later, func(r Read) bool { return k.isLast(r, args) })
	}
	if known != nil || k.next >= 0 {
		k.conn.out = append(k.conn.out[:k.whole], k.conn.out[end:]...)
		k.frame, k.reply = k.whole, known
		return
	}
	k.frame, k.whole = end, end
	k.conn.unsent++
	name, isSilent := silent[string(k.conn.method)]
	if k.asked = !isSilent; isSilent {
		k.conn.owed = append(k.conn.owed, name)
		k.reply = emptyFrame
	}
}

// fact returns Kong's reply to the call of conn.method with args, if it was read
// before.
func (k *calls) fact(args []byte) []byte {
	for _, f := range k.facts {
		if k.isLast(f.Read, args) {
			return k.conn.facts[f.start:f.end]
		}
	}
	return nil
}

// isLast reports whether r is the call of conn.method with args.
func (k *calls) isLast(r Read, args []byte) bool {
	return r.Method == string(k.conn.method) && bytes.Equal(r.Args, args)
}

// read reads what the handler is going to ask for. It returns an error where that is not
// to run.
func (k *calls) read(reads []Read) error {
	if len(reads) == 0 {
		return nil
	}
	if k.err = k.readAll(reads); k.err != nil {
		return nil
	}
	return k.conn.resume()
}

// readAll sends the reads together, behind what is not sent yet, and keeps Kong's replies
// for the handler.
func (k *calls) readAll(reads []Read) error {
	c := k.conn
	k.whole, k.frame = 0, 0
	for _, r := range reads {
		c.out = wire.AppendFrame(c.out, []byte(r.Method))
		c.out = wire.AppendFrame(c.out, r.Args)
	}
	c.unsent += len(reads)
	if err := c.flush(); err != nil {
		return brokenOff(reads[0].Method, err)
	}
	for _, r := range reads {
		body, err := c.readNext()
		if err != nil {
			return brokenOff(r.Method, err)
		}
		start := len(c.facts)
		c.facts = wire.AppendFrame(c.facts, body)
		k.facts = append(k.facts, fact{r, start, len(c.facts)})
	}
	return nil
}

// Read gives out the reply to the call that was written last. Where it is not
// known, it waits for it as long as Kong takes.
func (k *calls) Read(p []byte) (int, error) {
	if k.over.Load() {
		return 0, errOver
	}
	if len(k.reply) == 0 && k.err == nil {
		k.err = k.ask()
	}
	if k.err == nil && (len(k.conn.owed) > maxOwed || len(k.conn.out) > maxUnsent) {
		k.err = k.settle()
	}
	if k.err != nil {
		return 0, k.err
	}
	if err := k.conn.resume(); err != nil {
		k.reply = nil
		return 0, err
	}
	n := copy(p, k.reply)
	k.reply = k.reply[n:]
	return n, nil
}

// ask finds the reply to the last call: Kong's, for which it waits.
func (k *calls) ask() error {
	switch {
	case k.args:
		return errNoCall
	case k.next >= 0:
		asked, later := len(k.facts)+k.next, k.later
		k.later, k.next = nil, -1
		if err := k.readAll(later); err != nil {
			return err
		}
		f := &k.facts[asked]
		k.reply = k.conn.facts[f.start:f.end]
		return nil
	case k.asked:
		return k.exchange()
	}
	return errNoCall
}

// exchange sends what is not sent yet, and reads the reply to the last call of it.
func (k *calls) exchange() error {
	k.asked = false
	k.whole, k.frame = 0, 0
	err := k.conn.flush()
	if err == nil {
		var body []byte
		if body, err = k.conn.readNext(); err == nil {
			k.conn.reply = wire.AppendFrame(k.conn.reply[:0], body)
			k.reply = k.conn.reply
			return nil
		}
	}
	if method := string(k.conn.method); method != exitMethod && !errors.Is(err, errBrokenOff) {
		err = brokenOff(method, err)
	}
	return err
}

// settle sends what is not sent yet, all of it silent, and reads the replies.
func (k *calls) settle() error {
	k.whole, k.frame = 0, 0
	if err := k.conn.flush(); err != nil {
		return brokenOff(string(k.conn.method), err)
	}
	return k.conn.dropOwed()
}

// Close is how go-pdk ends an exit: no call may follow. It leaves the socket
// open. Kong has closed its side already; a peer that has replied to the exit
// instead waits for the end of the event, and would repeat the event if it met
// a closed connection.
func (k *calls) Close() error {
	k.over.Store(true)
	return nil
}

// brokenOff tells whether Kong has ended the exchange otherwise than after an
// exit.
func (k *calls) brokenOff() bool { return errors.Is(k.err, errBrokenOff) }

// end sends the end of the calls and ret, in one write with what is not sent
// yet. A connection that broke before is left as it is.
func (k *calls) end(ret *kong_plugin_protocol.RpcReturn) error {
	k.over.Store(true)
	if k.err != nil {
		return k.err
	}
	k.conn.out = append(k.conn.out[:k.whole], emptyFrame...)
	if err := k.conn.appendReturn(ret); err != nil {
		return err
	}
	return k.conn.finish()
}
