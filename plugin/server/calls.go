package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync/atomic"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"

	"kong-traffic-split/kong/wire"
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

// knownMethods are those whose reply is known to say something or nothing, by name. The reply
// to any other is waited for.
var knownMethods = func() map[string]wire.Method {
	byName := map[string]wire.Method{}
	for _, m := range wire.Methods {
		byName[m.Name] = m
	}
	return byName
}()

// calls is the connection that go-pdk has during one event. go-pdk writes a method and
// its arguments, each as a frame in two writes, and then reads the reply. calls collects
// what it writes, and sends it, in one write, only when a reply has to be waited for or
// the event ends. The reply to a call that returns nothing is made up at once, and Kong's
// own is dropped when it comes.
type calls struct {
	net.Conn // addresses and deadlines, which go-pdk does not use
	conn     *conn

	written int      // where in conn.out the calls end whose reply go-pdk has begun to read
	later   [][]Call // each of these is read together once the handler asks for one of its calls
	reply   []byte   // what go-pdk has not read yet of a reply
	err     error    // why the connection cannot be used any more
	over    atomic.Bool
}

// fact is a call that Kong has answered before the handler has made it.
type fact struct {
	Call
	reply []byte // as a frame
}

func newCalls(c *conn) *calls {
	return &calls{Conn: c.sock, conn: c}
}

// Write takes bytes of a call. It sends nothing.
func (k *calls) Write(p []byte) (int, error) {
	if err := k.unusable(); err != nil {
		return 0, err
	}
	k.conn.out = append(k.conn.out, p...)
	return len(p), nil
}

// Read gives out the reply to the call that was written last. Where it is not
// known, it waits for it as long as Kong takes.
func (k *calls) Read(p []byte) (int, error) {
	if err := k.unusable(); err != nil {
		return 0, err
	}
	if len(k.reply) == 0 {
		if k.err = k.call(); k.err != nil {
			return 0, k.err
		}
		if err := k.conn.resume(); err != nil {
			k.reply = nil
			return 0, err
		}
	}
	n := copy(p, k.reply)
	k.reply = k.reply[n:]
	return n, nil
}

func (k *calls) unusable() error {
	if k.over.Load() {
		return errOver
	}
	return k.err
}

// call finds the reply to the call that go-pdk has just written.
func (k *calls) call() error {
	c := k.conn
	method, args, err := lastCall(c.out[k.written:])
	if err != nil {
		return err
	}
	isThis := func(r Call) bool { return r.Method == string(method) && bytes.Equal(r.Args, args) }
	if i := slices.IndexFunc(c.facts, func(f fact) bool { return isThis(f.Call) }); i >= 0 {
		c.out = c.out[:k.written]
		k.reply = c.facts[i].reply
		return nil
	}
	for _, reads := range k.later {
		i := slices.IndexFunc(reads, isThis)
		if i < 0 {
			continue
		}
		c.out = c.out[:k.written]
		i += len(c.facts)
		if err := k.readAll(reads); err != nil {
			return err
		}
		k.reply = c.facts[i].reply
		return nil
	}
	m, isKnown := knownMethods[string(method)]
	if !isKnown {
		m.Name = string(method)
	}
	start := len(c.out) - len(method) - len(args) - 2*len(emptyFrame)
	c.out = append(c.out[:k.written], c.out[start:]...)
	k.written = len(c.out)
	c.unsent++
	if !isKnown || !m.Silent() {
		return k.exchange(m.Name)
	}
	c.owed = append(c.owed, m.Name)
	k.reply = emptyFrame
	if len(c.owed) > maxOwed || len(c.out) > maxUnsent {
		return k.settle(m.Name)
	}
	return nil
}

// lastCall returns the call at the end of what go-pdk has written since it has read a
// reply. Before that are the methods alone of calls that it gave up, as it could not
// encode their arguments.
func lastCall(written []byte) (method, args []byte, err error) {
	frames := 0
	for ; len(written) > 0; frames++ {
		if len(written) < len(emptyFrame) {
			return nil, nil, errNoCall
		}
		length := binary.LittleEndian.Uint32(written)
		written = written[len(emptyFrame):]
		if uint64(length) > uint64(len(written)) {
			return nil, nil, errNoCall
		}
		method, args, written = args, written[:length], written[length:]
	}
	if frames < 2 {
		return nil, nil, errNoCall
	}
	return method, args, nil
}

// read reads what the handler is going to ask for. It returns an error where that is not
// to run.
func (k *calls) read(reads []Call) error {
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
func (k *calls) readAll(reads []Call) error {
	c := k.conn
	for _, r := range reads {
		c.out = wire.AppendFrame(c.out, []byte(r.Method))
		c.out = wire.AppendFrame(c.out, r.Args)
	}
	c.unsent += len(reads)
	if err := k.flush(); err != nil {
		return brokenOff(reads[0].Method, err)
	}
	for _, r := range reads {
		body, err := c.readNext(limitOf(r.Method))
		if err != nil {
			return brokenOff(r.Method, err)
		}
		start := len(c.replies)
		c.replies = wire.AppendFrame(c.replies, body)
		c.facts = append(c.facts, fact{r, c.replies[start:]})
	}
	return nil
}

// exchange sends what is not sent yet, and reads the reply to the last call of it.
func (k *calls) exchange(method string) error {
	err := k.flush()
	if err == nil {
		var body []byte
		if body, err = k.conn.readNext(limitOf(method)); err == nil {
			k.conn.reply = wire.AppendFrame(k.conn.reply[:0], body)
			k.reply = k.conn.reply
			return nil
		}
	}
	if method != wire.Exit && !errors.Is(err, errBrokenOff) {
		err = brokenOff(method, err)
	}
	return err
}

// settle sends what is not sent yet, all of it silent, and reads the replies.
func (k *calls) settle(method string) error {
	if err := k.flush(); err != nil {
		return brokenOff(method, err)
	}
	return k.conn.dropOwed()
}

func (k *calls) flush() error {
	k.written = 0
	return k.conn.flush()
}

// Close is how go-pdk ends an exit: no call may follow. It leaves the socket
// open. Kong has closed its side already; a peer that has replied to the exit
// instead waits for the end of the event, and would repeat the event if it met
// a closed connection.
func (k *calls) Close() error {
	k.over.Store(true)
	return nil
}

// brokenOff reports whether Kong has ended the exchange otherwise than after an
// exit.
func (k *calls) brokenOff() bool { return errors.Is(k.err, errBrokenOff) }

// end sends the end of the calls and ret, in one write with what is not sent
// yet. A connection that broke before is left as it is.
func (k *calls) end(ret *pb.RpcReturn) error {
	k.over.Store(true)
	if k.err != nil {
		return k.err
	}
	k.conn.out = append(k.conn.out[:k.written], emptyFrame...)
	if err := k.conn.appendReturn(ret); err != nil {
		return err
	}
	return k.conn.finish()
}
