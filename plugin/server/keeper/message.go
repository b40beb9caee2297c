//go:build linux

package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// version is that of the messages and of the slots, whose layout depends on the
// size of a word. A keeper and a child of different executables, and two keepers, work
// together only where both have the same.
const version = 1<<8 + strconv.IntSize

// kind is what a message is about.
type kind uint8

const (
	ready      kind = iota + 1 // to the keeper: the child can serve; number is its version
	began                      // to the child: all values that were saved before have been sent
	conn                       // serve the connection that comes with it, in slot number; from another keeper, value is the slot's content
	closed                     // to the keeper: the connection in slot number has ended
	savedValue                 // in both directions: a key and its value; nil deletes
	handOver                   // to the child: finish what is in flight, and end; to the keeper at work: this server takes over
	ask                        // to the keeper at work: send the value under the key
	standBy                    // to the keeper at work: this process takes over when that one ends
	turn                       // to a server that stands by: take over now
	missed                     // from the receiver of the connection in slot number: it came without its descriptor
)

// message is what a keeper and a child, or two keepers, send each other.
type message struct {
	kind   kind
	number uint32
	key    string
	value  []byte
	fd     int // of a connection; 0, which is never one's: none
}

// drop closes the descriptor of a message that is not sent or not used.
func (m message) drop() {
	if m.fd != 0 {
		_ = unix.Close(m.fd)
	}
}

const (
	messageHead = 14 // kind, whether there is a value, number, lengths of key and value
	// maxBody is the longest key with its value, in bytes: the value may be the
	// configuration of a plugin row.
	maxBody = 64 << 20
)

// errMissed is that a message has lost its descriptor: the system drops it where the
// process that receives it may open no more files.
var errMissed = errors.New("a connection has come without its descriptor, as this process has too many open files: raise its limit (ulimit -n, LimitNOFILE)")

// link carries messages over a stream socket. One goroutine at a time receives;
// any may send.
type link struct {
	sock *net.UnixConn
	mu   sync.Mutex // held while a message is sent
}

// newLink returns a link on the socket of a descriptor.
func newLink(fd int) (*link, error) {
	sock, err := connOf(fd)
	if err != nil {
		return nil, err
	}
	return &link{sock: sock}, nil
}

// send sends m, and waits until the system has taken it. A descriptor in it is
// closed in any case.
func (l *link) send(m message) error {
	defer m.drop()
	l.mu.Lock()
	defer l.mu.Unlock()
	head := []byte{byte(m.kind), 0}
	if m.value != nil { // an empty one differs from nil
		head[1] = 1
	}
	head = binary.LittleEndian.AppendUint32(head, m.number)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(m.key)))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(m.value)))
	var rights []byte
	if m.fd != 0 {
		rights = unix.UnixRights(m.fd)
	}
	// The head goes alone: a read never goes beyond bytes that came with a descriptor.
	_, _, err := l.sock.WriteMsgUnix(head, rights, nil)
	// Writing nothing would fail where the other side has ended in answer to the head.
	if body := append([]byte(m.key), m.value...); err == nil && len(body) > 0 {
		_, err = l.sock.Write(body)
	}
	return err
}

// receive waits for the next message. It returns io.EOF when the other side has
// ended, and errMissed, beside the message, where its descriptor is missing: after that
// the next message can be received.
func (l *link) receive() (message, error) {
	head := make([]byte, messageHead)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := l.sock.ReadMsgUnix(head, oob)
	switch {
	case err != nil:
		return message{}, err
	case n == 0:
		return message{}, io.EOF
	}
	if _, err := io.ReadFull(l.sock, head[n:]); err != nil {
		return message{}, err
	}
	m := message{kind: kind(head[0]), number: binary.LittleEndian.Uint32(head[2:])}
	if m.fd, err = descriptorOf(oob[:oobn]); err != nil {
		return m, err
	}
	keyLength, valueLength := binary.LittleEndian.Uint32(head[6:]), binary.LittleEndian.Uint32(head[10:])
	length := uint64(keyLength) + uint64(valueLength)
	if length > maxBody {
		return m, fmt.Errorf("a key and a value of %d bytes, and at most %d are allowed", length, maxBody)
	}
	body := make([]byte, length)
	if _, err = io.ReadFull(l.sock, body); err != nil {
		return m, err
	}
	m.key = string(body[:keyLength])
	if head[1] != 0 {
		m.value = body[keyLength:]
	}
	if m.kind == conn && m.fd == 0 {
		err = errMissed
	}
	return m, err
}

// descriptorOf returns the descriptor that came with a message, 0 where none did.
func descriptorOf(oob []byte) (int, error) {
	if len(oob) == 0 {
		return 0, nil
	}
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(controls) != 1 {
		return 0, errors.Join(errors.New("a message with something else than one descriptor"), err)
	}
	fds, err := unix.ParseUnixRights(&controls[0])
	if err != nil || len(fds) != 1 {
		return 0, errors.Join(errors.New("a message with something else than one descriptor"), err)
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}
