//go:build linux

package keeper

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"kong-traffic-split/plugin/state"
)

// nobody is a user that nothing belongs to.
const nobody = 65534

// asNobody does what does not wait as that user: this thread alone is.
func asNobody(does func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, nobody, same); errno != 0 {
		return errno
	}
	err := does()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, 0, same); errno != 0 {
		panic(errno)
	}
	return err
}

// Who listens for successors has what a server knows, and gives the next one its
// connections: so it has to be of the same user, or root.
func TestWhoIsTrusted(t *testing.T) {
	one, _ := pair(t)
	if pid, err := trust(one.sock, os.Geteuid()); err != nil || pid != os.Getpid() {
		t.Errorf("itself: %d, %v", pid, err)
	}
	if os.Geteuid() == 0 {
		if _, err := trust(one.sock, nobody); err != nil {
			t.Errorf("root: %v", err)
		}
	}
}

// A socket of somebody else's, in a folder that others may write to, is asked for
// nothing, and gets nothing.
func TestSomebodyElseListensForSuccessors(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(path); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The listener's user counts, as of when it begins to listen.
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = asNobody(func() error {
		var failed error
		if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 8) }); err != nil {
			return err
		}
		return failed
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	k := &keeper{Options: Options{
		Succession: path, Early: []string{"note"}, State: new(state.Memory), Log: slog.New(slog.NewTextHandler(&log, nil)),
	}}
	k.askEarly(time.Now().Add(askTime))
	if want := "of user 65534, which is neither root nor this server's user, 0"; !strings.Contains(log.String(), want) {
		t.Errorf("the log has %q", &log)
	}
	if _, err := Register(path); !errors.Is(err, ErrUntrusted) {
		t.Errorf("it stands by there: %v", err)
	}
}

// Nor does somebody else get anything who asks.
func TestSomebodyElseAsksForConnections(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	r := run(t)
	r.ready()
	r.dial()
	if err := os.Chmod(filepath.Dir(r.path), 0o755); err != nil {
		t.Fatal(err)
	}
	r.await("the socket for successors", func() error { return os.Chmod(r.path+".next", 0o666) })
	var sock net.Conn
	err := asNobody(func() (err error) {
		sock, err = net.Dial("unix", r.path+".next")
		return err
	})
	p := r.peer(sock, err)
	_ = p.sock.SetDeadline(time.Now().Add(patience))
	p.ended()
	r.logs("a process that asks for connections and saved state does not get them")
}
