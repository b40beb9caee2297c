package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Access says who may connect to a socket: Kong's workers have to be able to
// write to it.
type Access struct {
	Mode fs.FileMode
	// User and Group are who owns the socket, by name or by number; empty: who
	// runs this process.
	User, Group string
}

// DefaultSocketMode lets the user and the group connect.
const DefaultSocketMode fs.FileMode = 0o660

// maxSocketPath is the longest path of a Unix socket, in bytes, without the
// zero that ends it.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// dialTime is how long a server may take to accept.
const dialTime = time.Second

// Listen returns a listener on the Unix socket at path, for those who have access.
//
// A socket that is there already is replaced, in one step, so that at no moment
// a connection is refused: when Kong reloads, it starts the new server before
// it stops the old one, whose connections go on until then. A server that still
// answers on the socket is logged, as it may be there by mistake. It is
// an error when what is there is not a socket. Closing the listener removes the
// socket, unless another has taken its place.
//
// Kong's image removes every socket that it finds in its prefix, and in the
// prefix's folder sockets, before it starts Kong. A server that runs beside it
// needs a path elsewhere.
func Listen(path string, access Access, log *slog.Logger) (net.Listener, error) {
	l, err := listen(path, access, log)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return l, nil
}

func listen(path string, access Access, log *slog.Logger) (net.Listener, error) {
	if longest := max(len(path), len(privateSocket(path))); longest > maxSocketPath {
		return nil, fmt.Errorf("a path of %d bytes, and the system takes %d; choose a shorter one", longest, maxSocketPath)
	}
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case there.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("something else than a socket is there; remove it or choose another path")
	}
	if sock, err := net.DialTimeout("unix", path, dialTime); err == nil {
		log.Warn("another server has the socket; it gets no new connections from now on, and should be stopped", "pid", peerPID(sock), "socket", path)
		_ = sock.Close()
	}
	warnOfFolder(path, log)
	l := &listener{path: path, access: access, log: log, closed: make(chan struct{})}
	if l.UnixListener, l.own, err = bind(path, access); err != nil {
		return nil, err
	}
	go l.tend()
	return l, nil
}

// warnOfFolder warns of a folder in which others can put a socket of theirs in the place
// of this one's, or of the one on which the server that takes over asks for connections.
func warnOfFolder(path string, log *slog.Logger) {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err == nil && info.Mode().Perm()&0o022 != 0 {
		log.Warn("others may write to the socket's folder, and so take its place; take that right from them (chmod go-w), or choose another folder",
			"folder", folder, "mode", info.Mode().Perm())
	}
}

// privateSocket is a name for a socket that is to be at path, in a folder of its own
// beside it.
func privateSocket(path string) string {
	return filepath.Join(filepath.Dir(path), fmt.Sprintf(".%08x", rand.Uint32()), "s")
}

// bind puts a new socket at path, in one step. Until it has its owner and its mode it is
// in a folder that nobody else can enter.
func bind(path string, access Access) (*net.UnixListener, os.FileInfo, error) {
	temp := privateSocket(path)
	if err := os.Mkdir(filepath.Dir(temp), 0o700); err != nil {
		var p *fs.PathError
		if errors.As(err, &p) { // which names temp
			err = p.Err
		}
		return nil, nil, fmt.Errorf("its folder has to exist and be writable: %w", err)
	}
	defer os.Remove(filepath.Dir(temp))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	l.SetUnlinkOnClose(false)
	own, err := os.Lstat(temp)
	if err == nil {
		err = access.grant(temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, l.Close(), os.Remove(temp))
	}
	return l, own, nil
}

// grant gives a socket its owner and then its mode: who makes it may not be one
// of the group that the mode lets in.
func (a Access) grant(path string) error {
	uid, err := number(a.User, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return fmt.Errorf("the socket's user: %w", err)
	}
	gid, err := number(a.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return fmt.Errorf("the socket's group: %w", err)
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return fmt.Errorf("the socket's owner cannot be changed (root may, others to a group of their own only): %w", err)
	}
	return os.Chmod(path, a.Mode)
}

// number is the number of a user or a group, -1 where it is not to change.
func number(name string, lookup func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// A listener removes its socket when it is closed. Until then it sees to it that the
// socket is there: one that is removed, or that a server which has ended had taken its
// place, is opened anew.
type listener struct {
	path   string
	access Access
	log    *slog.Logger
	closed chan struct{}
	once   sync.Once

	mu sync.Mutex // held for moments
	*net.UnixListener
	own os.FileInfo
}

// tendPause is how often a listener looks for its socket.
const tendPause = 500 * time.Millisecond

// tend looks for the socket until the listener is closed.
func (l *listener) tend() {
	again := time.NewTicker(tendPause)
	defer again.Stop()
	said := "" // what is wrong
	for {
		select {
		case <-l.closed:
			return
		case <-again.C:
		}
		switch wrong, err := l.mend(); {
		case err != nil && said != err.Error():
			said = err.Error()
			l.log.Error("the socket is gone and cannot be opened anew, trying again", "socket", l.path, "error", err)
		case err == nil && wrong != said && wrong != "":
			l.log.Warn(wrong, "socket", l.path)
			fallthrough
		case err == nil:
			said = wrong
		}
	}
}

// What is wrong with a socket.
const (
	socketTaken   = "another server has taken the socket; it is opened anew when that one is gone"
	socketRenewed = "the socket was gone, and is opened anew"
)

// mend opens the socket anew where it is gone and nobody else has it, and returns what
// was wrong.
func (l *listener) mend() (wrong string, err error) {
	if l.isThere() {
		return "", nil
	}
	defer lockFolder(l.path)()
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return "", nil
	default:
	}
	if sock, err := net.DialTimeout("unix", l.path, dialTime); err == nil {
		return socketTaken, sock.Close()
	} else if !isFree(err) {
		return socketTaken, nil
	}
	renewed, own, err := bind(l.path, l.access)
	if err != nil {
		return "", err
	}
	former := l.UnixListener
	l.UnixListener, l.own = renewed, own
	return socketRenewed, former.Close() // Accept goes on with the new one
}

// isThere reports whether the socket is at its path.
func (l *listener) isThere() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	there, err := os.Lstat(l.path)
	return err == nil && os.SameFile(there, l.own)
}

func (l *listener) current() *net.UnixListener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.UnixListener
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		current := l.current()
		sock, err := current.Accept()
		if err != nil && current != l.current() {
			continue
		}
		return sock, err
	}
}

// Addr is where the socket is now.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.closed)
		// Before it is closed: until then no other file can get its inode.
		if there, err := os.Lstat(l.path); err == nil && os.SameFile(there, l.own) {
			_ = os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}
