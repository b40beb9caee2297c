package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
)

// showPage says where a page is, and opens it in a browser if there is one.
func showPage(ctx context.Context, url string, to io.Writer) {
	text := "The page that shows it: " + url
	if opener := browserOpener(runtime.GOOS, os.Getenv); opener != "" {
		if err := open(ctx, opener, url); err != nil {
			text += "\nNo browser could be opened: " + err.Error()
		}
	}
	fmt.Fprintln(to, text)
}

// browserOpener returns the command that opens a URL in a browser; empty: there is no
// display for one.
func browserOpener(system string, getenv func(string) string) string {
	switch {
	case system == "darwin":
		return "open"
	case getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != "":
		return "xdg-open"
	}
	return ""
}

// open opens a URL by a command. A browser that this begins may go on for as long as it
// likes; what it says goes nowhere.
func open(ctx context.Context, opener, url string) error {
	path, err := exec.LookPath(opener)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), path, url)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}
