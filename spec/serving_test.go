package spec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// replaceServing has the plugin server's serving process replaced, again and
// again, the next time when the new one has answered some requests. How long it
// took until the new one was there is in the script's log.
func (s *scene) replaceServing(how, times string) error {
	number, err := strconv.Atoi(times)
	if err != nil || how != "kill" && how != "upgrade" && how != "hang" || s.load == nil {
		return errors.New("usage: plugin kill number | plugin upgrade number | plugin hang number, under load")
	}
	for i := range number {
		old, err := s.plugin.serving()
		if err != nil {
			return err
		}
		began := time.Now()
		switch how {
		case "kill":
			err = syscall.Kill(old, syscall.SIGKILL)
		case "hang":
			err = syscall.Kill(old, syscall.SIGSTOP)
		default:
			err = s.plugin.cmd.Process.Signal(syscall.SIGUSR2)
		}
		if err != nil {
			return err
		}
		if err := await(func() bool {
			pid, err := s.plugin.serving()
			return err == nil && pid != old
		}); err != nil {
			return fmt.Errorf("serving process %d of %d: %w\n%s", i+1, number, err, s.plugin.log)
		}
		s.ts.Logf("[plugin] %s %d: the next process was there after %v\n", how, i+1, time.Since(began).Round(time.Millisecond))
		if err := s.load.awaitAnswers(200); err != nil {
			return err
		}
	}
	return nil
}

// serving is the id of the one process that the plugin server has for serving.
func (p *plugin) serving() (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var all bytes.Buffer
	for _, list := range lists {
		if children, err := os.ReadFile(list); err == nil { // or the thread has ended
			all.Write(children)
		}
	}
	children := strings.Fields(all.String())
	if len(children) != 1 {
		return 0, fmt.Errorf("the plugin server has the children %v, not one", children)
	}
	return strconv.Atoi(children[0])
}

// pause stops the serving process for so long, and has it go on.
func (p *plugin) pause(text string) error {
	length, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	serving, err := p.serving()
	if err == nil {
		err = syscall.Kill(serving, syscall.SIGSTOP)
	}
	if err != nil {
		return err
	}
	time.Sleep(length)
	return syscall.Kill(serving, syscall.SIGCONT)
}

// limitFiles changes how many files the serving process may have open from now on.
func (p *plugin) limitFiles(number string) error {
	serving, err := p.serving()
	if err != nil {
		return err
	}
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(serving), "--nofile="+number+":").CombinedOutput()
	if err != nil {
		return fmt.Errorf("prlimit: %w\n%s", err, out)
	}
	return nil
}

// killKeeper kills the parent of the serving process and waits until that one has
// ended by itself.
func (p *plugin) killKeeper() error {
	orphan, err := p.serving()
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	if err := await(func() bool { return hasEnded(orphan) }); err != nil {
		return fmt.Errorf("the end of process %d, whose keeper was killed: %w\n%s", orphan, err, p.log)
	}
	return nil
}

// hasEnded reports whether a process has ended, its parent waiting for it
// or not.
func hasEnded(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return errors.Is(err, syscall.ESRCH)
	}
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // not there but on Linux
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

var death = regexp.MustCompile(`(?m)^time=(\S+) .*the serving process has died`)

// killStillborn kills the serving process of a faulty server and waits for the deaths
// of that many after it, each of which ends before it is ready. Each has to be started
// later than the one before it: at first a tenth of a second after a death, then twice
// as much each time.
func (p *plugin) killStillborn(times string) error {
	number, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	serving, err := p.serving()
	if err != nil {
		return err
	}
	fault := p.socket + ".stillborn"
	if err := os.WriteFile(fault, nil, 0o600); err != nil {
		return err
	}
	defer os.Remove(fault)
	logged := len(p.log.String())
	if err := syscall.Kill(serving, syscall.SIGKILL); err != nil {
		return err
	}
	var deaths [][]string
	err = await(func() bool {
		deaths = death.FindAllStringSubmatch(p.log.String()[logged:], -1)
		return len(deaths) > number
	})
	if err != nil {
		return fmt.Errorf("%d deaths and not %d: %w", len(deaths), number+1, err)
	}
	var last time.Time
	least := 100 * time.Millisecond / 4 // that before the death of the first stillborn
	for i, match := range deaths {
		at, err := time.Parse(time.RFC3339Nano, match[1])
		if err != nil {
			return err
		}
		if gap := at.Sub(last); i > 1 && gap < least-time.Millisecond { // to which the log is rounded
			return fmt.Errorf("process %d has died %v after the one before it, and should have been started only after %v", i, gap, least)
		}
		last = at
		least *= 2
	}
	return nil
}

// cmdMemory expects that the serving process has no more resident memory than
// that many MiB.
func (s *scene) cmdMemory(args []string) error {
	if err := arguments(args, "memory MiB", 1, 1); err != nil {
		return err
	}
	most, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	if s.plugin == nil || !s.plugin.running() {
		return errors.New("no plugin server is running")
	}
	serving, err := s.plugin.serving()
	if err != nil {
		return err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", serving))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	s.ts.Logf("[memory] %d KiB\n", kib)
	if kib > most<<10 {
		return fmt.Errorf("the serving process has %d KiB, more than %d MiB", kib, most)
	}
	return nil
}
