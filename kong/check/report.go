package check

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

// WriteText writes a line for each finding, with its severity and its check at the end.
func WriteText(to io.Writer, findings []Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(to, "%s [%s: %s]\n", strings.ReplaceAll(f.String(), "\n", " "), f.Severity, f.ID); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes an object with the list of findings, which may be empty.
func WriteJSON(to io.Writer, findings []Finding) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{"findings": append([]Finding{}, findings...)})
}

// WriteGitHub writes a workflow command for each finding, so that GitHub shows it beside
// the line that it is about.
func WriteGitHub(to io.Writer, findings []Finding) error {
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, f := range findings {
		where := "file=" + property.Replace(f.File)
		if f.Line > 0 {
			where += fmt.Sprintf(",line=%d,col=%d", f.Line, f.Column)
		}
		text := f.Message
		if f.Path != "" {
			text = f.Path + ": " + text
		}
		if _, err := fmt.Fprintf(to, "::%s %s,title=%s::%s\n", f.Severity, where, property.Replace(f.ID), message.Replace(text)); err != nil {
			return err
		}
	}
	return nil
}

// WriteSARIF writes a SARIF 2.1.0 log of one run, with all checks as its rules.
func WriteSARIF(to io.Writer, version string, findings []Finding) error {
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(sarif.NewToolComponent().WithName("splitctl").WithVersion(version)))
	for _, c := range checks {
		run.AddRule(c.ID).
			WithShortDescription(sarif.NewMultiformatMessageString().WithText(c.Doc)).
			WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(string(c.Severity)))
	}
	for _, f := range findings {
		place := sarif.NewPhysicalLocation().WithArtifactLocation(sarif.NewArtifactLocation().WithURI((&url.URL{Path: filepath.ToSlash(f.File)}).String()))
		if f.Line > 0 {
			place.WithRegion(sarif.NewRegion().WithStartLine(f.Line).WithStartColumn(max(f.Column, 1)))
		}
		location := sarif.NewLocation().WithPhysicalLocation(place)
		if f.Path != "" {
			location.AddLogicalLocation(sarif.NewLogicalLocation().WithFullyQualifiedName(f.Path))
		}
		run.CreateResultForRule(f.ID).WithLevel(string(f.Severity)).WithMessage(sarif.NewTextMessage(f.Message)).AddLocation(location)
	}
	report := sarif.NewReport()
	report.AddRun(run)
	return report.PrettyWrite(to)
}
