//go:build linux

package keeper

import (
	"os"
	"syscall"
	"time"
)

// handOverTime is how long a child may take, on an upgrade, for what it has in
// hand. What is in hand still goes on in the next one.
const handOverTime = 2 * time.Second

// upgrade starts a child of the executable that is now at this one's path.
func (k *keeper) upgrade() {
	if !k.quiet() || k.socket == nil {
		k.Log.Warn("an upgrade is asked for at a bad moment, ask again", "under way", k.next != nil, "ending", k.ending)
		return
	}
	exe, err := os.Open(k.path)
	if err == nil {
		if k.next, err = k.spawn(exe); err != nil {
			_ = exe.Close()
		}
	}
	if err != nil {
		k.Log.Error("the upgrade fails, the old executable goes on", "path", k.path, "error", err)
		return
	}
	k.Log.Info("upgrading", "path", k.path, "pid", k.next.cmd.Process.Pid)
}

// takeOver makes the child of the new executable the one that serves.
func (k *keeper) takeOver() {
	_ = k.exe.Close()
	k.exe = k.next.exe
	k.promote(k.next)
	k.next = nil
	k.Log.Info("upgraded", "pid", k.serving.cmd.Process.Pid)
}

// replace has the child that serves leave everything to another one.
func (k *keeper) replace() {
	old := k.serving
	old.replaced = true
	k.after(handOverTime, func() { old.signal(syscall.SIGKILL) })
	old.post(message{kind: handOver})
}
