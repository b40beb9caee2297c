package demo

import (
	"io"
	"strings"
)

// Invite writes commands to try on what runs. splitctl is how to call that from here.
func (d *Demo) Invite(w io.Writer, splitctl string) error {
	text := guideInvitation
	if d.traffic != nil {
		text = rolloutInvitation
	}
	_, err := strings.NewReplacer(
		"PROXY", d.proxy, "ADMIN", d.admin, "FILE", d.configFile(), "LOG", d.log.Name(),
		"PAGE", d.Page(), "STATUS", d.status, "SPLITCTL", splitctl,
	).WriteString(w, text)
	return err
}

const guideInvitation = `
The gateway runs until Ctrl-C. To try:

  curl -s "PROXY/echo/hostname?iteration=[1-200]" \
    -w "\n" | sort | uniq -c
  curl -s PROXY/echo/anything
  SPLITCTL top STATUS
  tail -f LOG

To change weights, edit FILE,
and then (the answer is the whole configuration, or what is wrong with it):

  curl -s ADMIN/config \
    -F config=@FILE
`

const rolloutInvitation = `
The requests go on until Ctrl-C, and the canary is mended. To look:

  SPLITCTL top STATUS
  PAGE

To begin the rollout anew, or with another word in place of start, to have it
hold, resume, widen or abort:

  SPLITCTL ramp start shop --admin ADMIN \
    --wait STATUS --declarative FILE
`
