package server

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var dumped = Plugin{
	Name:     "traffic-split",
	Version:  "0.1",
	Priority: 20,
	Phases:   []string{"access", "log"},
	Schema: []byte(`{"name":"traffic-split","fields":[{"config":{"type":"record","fields":[
		{"response_header":{"type":"string","match":"^(?<name>[^<>&]+)$","description":"ein Kopf für den Client"}}]}}]}`),
}

func TestDump(t *testing.T) {
	const golden = "testdata/dump.json"
	var got strings.Builder
	if err := Dump(&got, dumped, "/usr/local/kong/traffic-split.socket"); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the dump (-want +got):\n%s", diff)
	}
}

func TestADumpHasAListOfPhases(t *testing.T) {
	var got strings.Builder
	if err := Dump(&got, Plugin{Schema: []byte("{}")}, ""); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got.String(), `"Phases": []`) {
		t.Errorf("the dump of a plugin without phases:\n%s", got.String())
	}
}

func TestAnInfoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "info.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := PrepareInfo(path, dumped, "/s")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); string(got) != "old" {
		t.Errorf("before it is published, there is %q, %v", got, err)
	}
	if err := info.Publish(); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := Dump(&want, dumped, "/s"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("the file (-dump +file):\n%s", diff)
	}
	there, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := there.Mode(); got != 0o644 {
		t.Errorf("the file's mode is %v", got)
	}
	onlyFile(t, dir, "info.json")
}

func TestAnInfoFileThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "info.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := dumped
	broken.Schema = []byte("{")
	for _, tt := range []struct {
		path   string
		plugin Plugin
		want   string // how the error begins
	}{
		{dir + "/none/info.json", dumped, "info file " + dir + "/none/info.json: its folder has to exist and be writable: open " + dir + "/none/.info.json."},
		{path + "/info.json", dumped, "info file " + path + "/info.json: its folder has to exist and be writable: open "},
		{dir, dumped, "info file " + dir + ": something else than a file is there; choose another path"},
		{"/dev/null", dumped, "info file /dev/null: something else than a file is there; choose another path"},
		{path, broken, "info file " + path + ": dump of plugin traffic-split: json: error calling MarshalJSON for type json.RawMessage: unexpected end of JSON input"},
	} {
		if _, err := PrepareInfo(tt.path, tt.plugin, "/s"); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("PrepareInfo(%s) returns %v, want %q", tt.path, err, tt.want)
		}
	}
	if got, err := os.ReadFile(path); string(got) != "old" {
		t.Errorf("the file that was there is now %q, %v", got, err)
	}
	onlyFile(t, dir, "info.json")
}

func TestAnInfoFileThatIsNotPublished(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "info.json")
	discarded, err := PrepareInfo(path, dumped, "/s")
	if err != nil {
		t.Fatal(err)
	}
	late, err := PrepareInfo(path, dumped, "/s")
	if err != nil {
		t.Fatal(err)
	}
	if err := discarded.Discard(); err != nil {
		t.Error(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := late.Publish(); err == nil || !strings.HasPrefix(err.Error(), "info file "+path+": rename ") {
		t.Errorf("where a folder is by now, Publish returns %v", err)
	}
	onlyFile(t, dir, "info.json")
}

func TestAnInfoFileInAFolderThatIsReadOnly(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := PrepareInfo(filepath.Join(dir, "info.json"), dumped, "/s"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("PrepareInfo returns %v", err)
	}
}

func TestADiskThatIsFullIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	if err := fill(full, "dump"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("fill returns %v", err)
	}
}

// onlyFile fails the test unless name is all that dir has.
func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the folder has %v, want %s only", entries, name)
	}
}
