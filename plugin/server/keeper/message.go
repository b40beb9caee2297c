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
	conn                       // to the child: serve the connection that comes with it, in slot number
	closed                     // to the keeper: the connection in slot number has ended
	savedValue                 // in both directions: text is a key and its value
	handOver                   // to the child: finish what is in flight, and end; to the keeper at work: this server takes over
	ask                        // to the keeper at work: send the value under the key text
	standBy                    // to the keeper at work: this process takes over when that one ends
	turn                       // to a server that stands by: take over now
	missed                     // from the receiver of the connection in slot number: it came without its descriptor
)

// message is what a keeper and a child, or two keepers, send each other.
type message struct {
	kind   kind
	number uint32
	text   []byte
	fd     int // of a connection; 0, which is never one's: none
}

// drop closes the descriptor of a message that is not sent or not used.
func (m message) drop() {
	if m.fd != 0 {
		_ = unix.Close(m.fd)
	}
}

const (
	messageHead = 9 // kind, number, length of text
	// maxText is the longest text: a saved value may be the configuration of a plugin row.
	maxText = 64 << 20
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
	head := make([]byte, messageHead, messageHead+len(m.text))
	head[0] = byte(m.kind)
	binary.LittleEndian.PutUint32(head[1:], m.number)
	binary.LittleEndian.PutUint32(head[5:], uint32(len(m.text)))
	var rights []byte
	if m.fd != 0 {
		rights = unix.UnixRights(m.fd)
	}
	// The head goes alone: a read never goes beyond bytes that came with a descriptor.
	_, _, err := l.sock.WriteMsgUnix(head, rights, nil)
	// Writing nothing would fail where the other side has ended in answer to the head.
	if err == nil && len(m.text) > 0 {
		_, err = l.sock.Write(m.text)
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
	m := message{kind: kind(head[0]), number: binary.LittleEndian.Uint32(head[1:])}
	if m.fd, err = descriptorOf(oob[:oobn]); err != nil {
		return m, err
	}
	length := binary.LittleEndian.Uint32(head[5:])
	if length > maxText {
		return m, fmt.Errorf("a message of %d bytes, and at most %d are allowed", length, maxText)
	}
	m.text = make([]byte, length)
	if _, err = io.ReadFull(l.sock, m.text); err == nil && m.kind == conn && m.fd == 0 {
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

// encodeValue returns the text of a savedValue. A nil value deletes.
func encodeValue(key string, value []byte) []byte {
	text := binary.LittleEndian.AppendUint16(nil, uint16(len(key)))
	text = append(text, key...)
	if value == nil {
		return text
	}
	text = append(text, 0) // so that an empty value differs from nil
	return append(text, value...)
}

// decodeValue returns the key and the value of a savedValue's text.
func decodeValue(text []byte) (key string, value []byte, err error) {
	if len(text) < 2 || len(text) < 2+int(binary.LittleEndian.Uint16(text)) {
		return "", nil, errors.New("a saved value that is cut off")
	}
	end := 2 + int(binary.LittleEndian.Uint16(text))
	key = string(text[2:end])
	if len(text) > end {
		value = text[end+1:]
	}
	return key, value, nil
}
