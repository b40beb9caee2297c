package main

import (
	"fmt"
	"os"
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
