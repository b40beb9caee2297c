package check

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
)

var some = []Finding{
	{File: "a,b:c.yml", Line: 3, Column: 7, Path: "splits.x", ID: noWeight.ID, Severity: Error, Message: "100 % of\nit"},
	{File: "d.yml", ID: unreadable.ID, Severity: Error, Message: "is empty"},
}

func TestWrite(t *testing.T) {
	var text, github, json, none bytes.Buffer
	for _, err := range []error{WriteText(&text, some), WriteGitHub(&github, some), WriteJSON(&json, some[1:]), WriteJSON(&none, nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ got, want string }{
		{text.String(), "a,b:c.yml:3:7: splits.x: 100 % of it [error: no-weight]\nd.yml: is empty [error: unreadable]\n"},
		{github.String(), "::error file=a%2Cb%3Ac.yml,line=3,col=7,title=no-weight::splits.x: 100 %25 of%0Ait\n::error file=d.yml,title=unreadable::is empty\n"},
		{json.String(), `{"findings":[{"file":"d.yml","line":0,"column":0,"path":"","id":"unreadable","severity":"error","message":"is empty"}]}` + "\n"},
		{none.String(), `{"findings":[]}` + "\n"},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

// What is written is SARIF 2.1.0 by its schema, with a rule for each result.
func TestSARIF(t *testing.T) {
	for _, findings := range [][]Finding{nil, some} {
		var out bytes.Buffer
		if err := WriteSARIF(&out, "1.2.3", findings); err != nil {
			t.Fatal(err)
		}
		report, err := sarif.FromBytes(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if err := report.Validate(); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
		run := report.Runs[0]
		if len(run.Results) != len(findings) || len(run.Tool.Driver.Rules) != len(Checks()) {
			t.Errorf("%d results, %d rules", len(run.Results), len(run.Tool.Driver.Rules))
		}
		for i, r := range run.Results {
			if *r.RuleID != findings[i].ID || *run.Tool.Driver.Rules[r.RuleIndex].ID != findings[i].ID {
				t.Errorf("result %d is of the rule %s, %d", i, *r.RuleID, r.RuleIndex)
			}
		}
	}
}
