package server

import "net"

// A journal is a connection on which another process can go on when this one dies.
// Of what was read from it, it keeps what may be needed again; so the other process
// reads the call that is in flight once more.
//
// plugin/server/keeper has such connections.
type journal interface {
	net.Conn
	// CloseWrite ends the half of the connection that Kong reads.
	CloseWrite() error
	// Resumed says where the exchange was when this process got the connection:
	// so many replies of Kong come before the next call, and so many after it; so
	// many processes have died with that call in flight.
	Resumed() (owed, again, tries int)
	// Heard reports whether anything was read from it, by an earlier process too.
	Heard() bool
	// Try records that a call with which processes have died in flight is tried now: when
	// this one dies as well, it may be because of it.
	Try()
	// Spare records that such a call waits for the other side: when this process dies
	// meanwhile, it is not because of it.
	Spare()
	// Send sends p, with which Kong owes so many replies more.
	Send(p []byte, calls int) error
	// Finish sends p, which ends the exchange. Of what was read, the last unread
	// bytes may be needed again; Kong owes so many replies.
	Finish(p []byte, owed, unread int) error
	// Mark records that the replies before the next call were read, and sends nothing.
	// Of what was read, the last unread bytes may be needed again.
	Mark(unread int)
}

// fleeting is a new connection, which ends with this process.
type fleeting struct{ net.Conn }

func (fleeting) Resumed() (owed, again, tries int) { return 0, 0, 0 }
func (fleeting) Heard() bool                       { return false }
func (fleeting) Try()                              {}
func (fleeting) Spare()                            {}
func (fleeting) Mark(int)                          {}

func (p fleeting) Send(b []byte, _ int) error {
	_, err := p.Write(b)
	return err
}

func (p fleeting) Finish(b []byte, _, _ int) error {
	_, err := p.Write(b)
	return err
}

func (p fleeting) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func journalOf(sock net.Conn) journal {
	if j, ok := sock.(journal); ok {
		return j
	}
	return fleeting{sock}
}
