package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// onlyWorker is the one worker of nginx's master process, as Linux tells it.
func onlyWorker(master int) (int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	if err != nil {
		return 0, fmt.Errorf("finding Kong's processes as Linux tells them: %w", err)
	}
	var workers []int
	for _, child := range strings.Fields(string(children)) {
		title, err := os.ReadFile(filepath.Join("/proc", child, "cmdline"))
		if err != nil {
			return 0, err
		}
		if strings.HasPrefix(string(title), "nginx: worker process") {
			pid, err := strconv.Atoi(child)
			if err != nil {
				return 0, err
			}
			workers = append(workers, pid)
		}
	}
	if len(workers) != 1 {
		return 0, fmt.Errorf("process %d has the workers %v, not one", master, workers)
	}
	return workers[0], nil
}

// cpuTime is how long a process was run, in its main thread, which is all that a worker
// of nginx serves requests with.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0, fmt.Errorf("CPU time is read as Linux tells it: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) != 3 {
		return 0, errors.New("/proc/PID/schedstat does not have three fields")
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	return time.Duration(ns), err
}
