package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// resident is the memory of a process, in KiB, as Linux counts it. Pages that it
// shares with others are in it.
func resident(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory is read as Linux tells it: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	return strconv.Atoi(number)
}

// onlyChild is the process that another one has started.
func onlyChild(pid int) (int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
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
		return 0, fmt.Errorf("process %d has the children %v, not one", pid, children)
	}
	return strconv.Atoi(children[0])
}
