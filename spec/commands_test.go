package spec

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// A doing is a command that does something: it works or the script fails.
type doing func(s *scene, args []string) error

// A claim is a command that a script may negate. It returns why it does not
// hold, empty where it does; an error fails the script in either case.
type claim func(s *scene, args []string) (but string, err error)

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range map[string]doing{
		"accepted":  (*scene).cmdAccepted,
		"admin":     (*scene).cmdAdmin,
		"alerts":    (*scene).cmdAlerts,
		"alike":     (*scene).cmdAlike,
		"backend":   (*scene).cmdBackend,
		"counts":    (*scene).cmdCounts,
		"dashboard": (*scene).cmdDashboard,
		"dns":       (*scene).cmdDNS,
		"expand":    (*scene).cmdExpand,
		"load":      (*scene).cmdLoad,
		"memory":    (*scene).cmdMemory,
		"message":   (*scene).cmdMessage,
		"moved":     (*scene).cmdMoved,
		"plugin":    (*scene).cmdPlugin,
		"port":      (*scene).cmdPort,
		"refused":   (*scene).cmdRefused,
		"request":   (*scene).cmdRequest,
		"requests":  (*scene).cmdRequests,
		"rewrite":   (*scene).cmdRewrite,
		"served":    (*scene).cmdServed,
		"settle":    (*scene).cmdSettle,
		"splits":    (*scene).cmdSplits,
		"status":    (*scene).cmdStatus,
		"stranger":  (*scene).cmdStranger,
	} {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("%s cannot be negated", name)
			}
			ts.Check(do(sceneOf(ts), args))
		}
	}
	for name, holds := range map[string]claim{
		"config":    (*scene).cmdConfig,
		"echoed":    (*scene).cmdEchoed,
		"errorlog":  (*scene).cmdErrorlog,
		"gateway":   (*scene).cmdGateway,
		"header":    (*scene).cmdHeader,
		"metrics":   (*scene).cmdMetrics,
		"pluginlog": (*scene).cmdPluginlog,
		"received":  (*scene).cmdReceived,
		"setcookie": (*scene).cmdSetCookie,
		"written":   (*scene).cmdWritten,
	} {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			s := sceneOf(ts)
			s.negated = neg
			problem, err := holds(s, args)
			ts.Check(err)
			switch {
			case neg && problem == "":
				ts.Fatalf("%s: unexpected success", name)
			case !neg && problem != "":
				ts.Fatalf("%s", problem)
			}
		}
	}
	return cmds
}

// sceneOf is the scene of a script that runs one of its commands.
func sceneOf(ts *testscript.TestScript) *scene {
	s := ts.Value(sceneKey{}).(*scene)
	s.ts = ts
	return s
}

// parse reads a command's flags and checks that as many arguments are left as
// the usage names.
func parse(flags *flag.FlagSet, args []string, usage string, least, most int) ([]string, error) {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("%w\nusage: %s", err, usage)
	}
	return flags.Args(), arguments(flags.Args(), usage, least, most)
}

// arguments checks the number of a command's arguments.
func arguments(args []string, usage string, least, most int) error {
	if len(args) < least || len(args) > most {
		return errors.New("usage: " + usage)
	}
	return nil
}

// pattern compiles a script's regular expression; ^ and $ match at lines.
func pattern(text string) (*regexp.Regexp, error) { return regexp.Compile("(?m)" + text) }
