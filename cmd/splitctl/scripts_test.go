package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts of testdata, which use splitctl as a user does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", WorkdirRoot: t.TempDir(), RequireUniqueNames: true, RequireExplicitExec: true,
	})
}
