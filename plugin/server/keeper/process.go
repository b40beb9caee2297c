//go:build linux

package keeper

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// process is a child as the keeper sees it. Fields above mu belong to the keeper's
// goroutine.
type process struct {
	cmd   *exec.Cmd
	exe   *os.File
	link  *link
	ready bool

	unsaved      []message // values that it has set before it was ready
	overdue      bool      // it was not ready in time, and is killed
	replaced     bool      // it is to leave everything to another one
	stopTimedOut bool      // it did not end in time, and is killed
	asking       int       // what is still to come of a question: its answer, the end of its connection
	unanswered   int       // ticks since it has answered one
	problem      error     // of the last answer
	hung         bool      // it has not answered for too long, and is killed

	mu     sync.Mutex // guards what follows
	outbox []message  // sent by transmit, as the keeper must never wait for a child
	posted sync.Cond
	dead   bool
}

// spawn starts a child of the executable exe. The caller has it received from.
func spawn(exe *os.File, args []string, memory *slots) (*process, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "child")
	defer theirs.Close()
	l, err := newLink(pair[0])
	if err != nil {
		return nil, err
	}
	p := &process{exe: exe, link: l}
	p.posted.L = &p.mu
	// By a descriptor, so that it is this executable whatever is at its path now. The
	// number is the descriptor's in the child, as exec has already put the child's files
	// in the place of the keeper's when it looks at the path.
	p.cmd = exec.Command("/proc/self/fd/" + strconv.Itoa(exeFile))
	p.cmd.Args = args
	p.cmd.Env = append(os.Environ(), childEnv+"=1")
	p.cmd.ExtraFiles = []*os.File{linkFile - 3: theirs, slotsFile - 3: memory.file, exeFile - 3: exe}
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, os.Stderr
	// A terminal's ^C is for the keeper, which passes it on.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, l.sock.Close())
	}
	go p.transmit()
	return p, nil
}

// receive calls handle with each message of the child, and exited once, when the child
// is dead.
func (p *process) receive(handle func(message), exited func()) {
	for {
		m, err := p.link.receive()
		if err != nil {
			break
		}
		handle(m)
	}
	_ = p.cmd.Process.Kill() // it may live, but its messages cannot be received any more
	_ = p.cmd.Wait()         // its error is in cmd.ProcessState
	p.mu.Lock()
	p.dead = true
	p.posted.Signal()
	p.mu.Unlock()
	_ = p.link.sock.Close()
	exited()
}

// post sends m in the background. Several goroutines may call it.
func (p *process) post(m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		m.drop()
		return
	}
	p.outbox = append(p.outbox, m)
	p.posted.Signal()
}

// transmit sends what is posted, until the child is dead.
func (p *process) transmit() {
	for {
		p.mu.Lock()
		for len(p.outbox) == 0 && !p.dead {
			p.posted.Wait()
		}
		batch, dead := p.outbox, p.dead
		p.outbox = nil
		p.mu.Unlock()
		for _, m := range batch {
			_ = p.link.send(m) // an error is the child's death, which receive sees
		}
		if dead {
			return
		}
	}
}

// signal passes a signal on. A child that has ended just now needs none.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }
