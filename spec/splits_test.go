package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
)

// revisions are the numbered revisions of a split file. They say which of them
// may decide a request: none older than what an earlier request has seen, none
// newer than what was written.
type revisions struct {
	written atomic.Int64 // the newest that was begun to write
	seen    atomic.Int64 // the newest that an answer has named
}

const revisionHeader = "X-Revision"

// check checks the revision that an answer names: each of its values of
// X-Revision, which may come from several places of the split. since is what
// was seen before the request was sent.
func (r *revisions) check(a answer, since int64) error {
	values := a.header.Values(revisionHeader)
	for _, value := range values {
		number, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", revisionHeader, err)
		}
		if value != values[0] {
			return fmt.Errorf("one request met several revisions: %v", values)
		}
		if written := r.written.Load(); number < since || number > written {
			return fmt.Errorf("revision %d decided where %d to %d may", number, since, written)
		}
		for seen := r.seen.Load(); number > seen && !r.seen.CompareAndSwap(seen, number); seen = r.seen.Load() {
		}
	}
	return nil
}

// verdict is the one line that a plugin server writes of each split file that it has
// read; what is wrong with the file comes behind it.
var verdict = regexp.MustCompile(`msg="(splits read|the split file is wrong)`)

// cmdSplits puts a file in place of the plugin server's split file and waits
// until the server says that it has read it, or why it does not take it.
func (s *scene) cmdSplits(args []string) error {
	if err := arguments(args, "splits file", 1, 1); err != nil {
		return err
	}
	if s.plugin == nil || s.plugin.splits == "" {
		return errors.New("no plugin server with -file is running")
	}
	logged := len(s.plugin.log.String())
	if err := s.writeSplits(args[0]); err != nil {
		return err
	}
	return await(func() bool { return verdict.MatchString(s.plugin.log.String()[logged:]) })
}

// writeSplits writes the split file.
func (s *scene) writeSplits(file string) error {
	text, err := s.expand(file)
	if err != nil {
		return err
	}
	_, err = s.writeFile(splitFile, text)
	return err
}

// cmdRewrite writes revisions of the split file under load, the next one as
// soon as an answer has named the one before it.
func (s *scene) cmdRewrite(args []string) error {
	const usage = "rewrite number file"
	if err := arguments(args, usage, 2, 2); err != nil {
		return err
	}
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("%w\nusage: %s", err, usage)
	}
	if s.load == nil {
		return errors.New("rewrite needs a load")
	}
	for range number {
		revision := s.revisions.written.Add(1)
		if err := s.writeSplits(args[1]); err != nil {
			return err
		}
		if err := await(func() bool { return s.revisions.seen.Load() == revision }); err != nil {
			return errors.Join(fmt.Errorf("an answer by revision %d: %w", revision, err), s.load.problems())
		}
	}
	return nil
}
