package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"kong-traffic-split/kong/admin"
	"kong-traffic-split/kong/declarative"
	"kong-traffic-split/plugin/config"
	"kong-traffic-split/plugin/file"
)

// maxDeclarative is how many bytes a declarative file of Kong's may have.
const maxDeclarative = 64 << 20

// inKong says which Kong an error is about.
func (s *steerFlags) inKong(err error) error { return fmt.Errorf("%s: %w", s.kong(), err) }

// changeRow changes a row of a Kong that has a database. Its Admin API cannot compare and
// swap: between the last look and the change is a moment in which somebody else's change
// of the same keys would be lost. One just after it is noticed.
func (s *steerFlags) changeRow(ctx context.Context, split string, decide decide) (*steered, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	if _, without, err := client.Declarative(ctx); err != nil {
		return nil, s.inKong(err)
	} else if without {
		return nil, s.inKong(errors.New("it has no database: say with --declarative from which file it has its configuration"))
	}
	row, err := client.Find(ctx, pluginName, split)
	if err != nil {
		return nil, s.inKong(err)
	}
	tree, was, err := decodeRow(row)
	if err != nil {
		return nil, s.inKong(err)
	}
	edits, err := decide(row.ID, was)
	if err != nil {
		return nil, err
	}
	after, err := config.Apply(tree, edits...)
	if err != nil {
		return nil, s.inKong(err)
	}
	is, problems := config.DecodeRow(after, config.References)
	if problems != nil {
		return nil, s.inKong(fmt.Errorf("the result would not load, so nothing is sent: %w", problems))
	}
	out := &steered{s.kong(), row.ID, config.Difference(tree, edits), was, is}
	if s.dryRun || len(out.difference) == 0 {
		return out, nil
	}
	if again, err := client.Row(ctx, row.ID); err != nil {
		return nil, s.inKong(err)
	} else if !again.Same(row) {
		return nil, s.inKong(errors.New("the row was changed by somebody else since it was read; nothing was sent: do it again"))
	}
	now, err := client.Patch(ctx, row.ID, admin.Merge(after, edits))
	if err != nil {
		return nil, s.inKong(err)
	}
	last, err := client.Row(ctx, row.ID)
	if err != nil {
		return nil, s.inKong(fmt.Errorf("it is sent; whether it stays so is not known: %w", err))
	}
	_, has, err := decodeRow(now)
	if err != nil {
		return nil, s.inKong(fmt.Errorf("it is sent, and what Kong has made of it is wrong: %w", err))
	}
	if !reflect.DeepEqual(has, is) || !last.Same(now) {
		return nil, s.inKong(fmt.Errorf("it is sent, but somebody else has changed the row %s in the same moment: look at what it is now", row.ID))
	}
	return out, nil
}

// decodeRow returns the config of a row of Kong's.
func decodeRow(row *admin.Row) (*config.Node, *config.Config, error) {
	tree, err := config.ParseKong(row.Config)
	if err != nil {
		return nil, nil, err
	}
	tree = tree.WithoutNulls()
	c, problems := config.DecodeRow(tree, config.References)
	if problems != nil {
		return nil, nil, fmt.Errorf("the config of the row %s is wrong: %w", row.ID, problems)
	}
	if len(c.Backends) == 0 {
		return nil, nil, fmt.Errorf("the backends of the row %s stand in a split file of the plugin server: take --file", row.ID)
	}
	return tree, c, nil
}

// changeDeclarative changes a row in a declarative file of Kong's, and gives the file to
// Kong, if there is an Admin API to give it to.
func (s *steerFlags) changeDeclarative(ctx context.Context, split string, decide decide) (*steered, error) {
	content, locked, err := s.openDeclarative(ctx)
	if err != nil {
		return nil, err
	}
	if locked != nil {
		defer locked.Close()
	}
	out, after, err := changeText(s.declarative, content, split, decide)
	if err != nil {
		return nil, err
	}
	if s.address == "" {
		if s.dryRun || len(out.difference) == 0 {
			return out, nil
		}
		return out, locked.Replace(after)
	}
	if err := onlyKong(s.declarative, content); err != nil {
		return nil, err
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	hash, err := s.compare(ctx, client, content)
	if err != nil || s.dryRun || len(out.difference) == 0 && hash == admin.HashOf(after) {
		return out, err
	}
	commit, discard, err := locked.Prepare(after)
	if err != nil {
		return nil, err
	}
	if err := post(ctx, client, hash, after); err != nil {
		// It may be the answer that was lost, and not the configuration.
		if now, unknown := client.Hash(ctx); unknown != nil || now != admin.HashOf(after) {
			discard()
			return nil, s.inKong(err)
		}
	}
	if err := commit(); err != nil {
		return nil, fmt.Errorf("%s: Kong has the change, but the file has not: %w; mend that, and repeat the command with --force", s.kong(), err)
	}
	if now, err := client.Hash(ctx); err != nil || now != admin.HashOf(after) {
		return nil, s.inKong(errors.Join(errors.New("it is posted, but somebody else has given Kong another configuration in the same moment: look at what it has now"), err))
	}
	return out, nil
}

// onlyKong returns an error if a file has something that only decK understands: Kong would
// refuse it, or take ${{ … }} for a value.
func onlyKong(path, content string) error {
	deck, err := declarative.ParseDeck([]byte(content), os.LookupEnv)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	keys := deck.OnlyForDeck()
	if deck.HasExpressions() {
		keys = append(keys, "${{ … }}")
	}
	if len(keys) == 0 {
		return nil
	}
	return fmt.Errorf("%s: has %s, which only decK understands, so it cannot be posted to Kong: leave --admin out, and have decK sync the file", path, strings.Join(keys, ", "))
}

// openDeclarative reads the file, and locks it if it is to be written.
func (s *steerFlags) openDeclarative(ctx context.Context) (string, *file.Locked, error) {
	if s.dryRun {
		text, err := file.Content(s.declarative, maxDeclarative)
		return text, nil, err
	}
	ctx, cancel := untilLocked(ctx)
	defer cancel()
	locked, err := file.Lock(ctx, s.declarative, maxDeclarative)
	if err != nil {
		return "", nil, err
	}
	return locked.Content, locked, nil
}

// changeText returns what becomes of a row in the text of a declarative file.
func changeText(path, content, split string, decide decide) (*steered, string, error) {
	deck, err := declarative.ParseDeck([]byte(content), os.LookupEnv)
	if err == nil && deck.File["_format_version"] == nil {
		err = errors.New("is no declarative file of Kong's: it has no _format_version")
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	parsed, text := deck.File, deck.Text
	rows, err := readRows(path, content)
	if err != nil {
		return nil, "", err
	}
	chosen, err := rows.choose(split)
	if err != nil {
		return nil, "", err
	}
	if len(chosen) > 1 {
		return nil, "", fmt.Errorf("%s: has %d rows that are called %q: give them an instance_name each", path, len(chosen), split)
	}
	row := chosen[0]
	edits, err := decide(row.identity, row.config)
	if err != nil {
		return nil, "", err
	}
	after, problem := file.Edit(text, row.place, edits...)
	if problem != nil {
		return nil, "", file.Problems{{File: path, Problem: *problem}}
	}
	if after, err = deck.Restore(after); err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	out := &steered{path, row.identity, config.Difference(file.Locate(text, parsed.At(row.place...), row.place...), edits), row.config, nil}
	if rows, err = readRows(path, after); err != nil {
		return nil, "", fmt.Errorf("the result would not load, so nothing is written:\n%w", err)
	}
	for _, s := range rows.splits {
		if reflect.DeepEqual(s.place, row.place) {
			out.is = s.config
		}
	}
	return out, after, nil
}

// compare returns the hash of the configuration that Kong has. It returns an error if Kong
// has what it would lose with the file.
func (s *steerFlags) compare(ctx context.Context, client *admin.Client, content string) (hash string, err error) {
	live, without, err := client.Declarative(ctx)
	if err == nil && !without {
		err = errors.New("it has a database: leave --declarative out")
	}
	if err == nil {
		hash, err = client.Hash(ctx)
	}
	if err != nil {
		return "", s.inKong(err)
	}
	if hash == admin.HashOf(content) || s.force {
		return hash, nil
	}
	lost, err := lost(s.declarative, content, live)
	if err != nil {
		return "", s.inKong(err)
	}
	if len(lost) > 0 {
		const limit = 20
		if len(lost) > limit {
			lost = append(lost[:limit], fmt.Sprintf("and %d more", len(lost)-limit))
		}
		return "", s.inKong(fmt.Errorf("it has what %s has not, and would lose it; nothing was written. Take it into the file, or say --force:\n  %s", s.declarative, strings.Join(lost, "\n  ")))
	}
	return hash, nil
}

// lost returns what a Kong with the configuration live would lose with a file.
func lost(path, content, live string) ([]string, error) {
	deck, err := declarative.ParseDeck([]byte(content), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	mine, err := deck.WithoutDeck()
	if err != nil {
		return nil, err
	}
	has, err := declarative.Parse([]byte(live))
	if err != nil {
		return nil, err
	}
	lines := mine.Lacks(has)
	// Of our own rows the defaults are known, so that all of their keys can be compared.
	rows, err := readRows(path, content)
	if err != nil {
		return nil, err
	}
	for _, row := range has.PluginRows(pluginName) {
		c, problems := config.DecodeRow(file.Locate(live, orEmpty(row.Config)).WithoutNulls(), config.References)
		if problems != nil {
			continue
		}
		for _, s := range rows.splits {
			if s.identity == row.ID && !reflect.DeepEqual(s.config, c) {
				lines = append(lines, fmt.Sprintf("plugins %s of %s: the config is another one", pluginName, s.name))
			}
		}
	}
	return lines, nil
}

// post gives Kong a configuration, unless it has another one than that of hash by now.
func post(ctx context.Context, client *admin.Client, hash, text string) error {
	now, err := client.Hash(ctx)
	if err != nil {
		return err
	}
	if now != hash {
		return errors.New("somebody else has given Kong another configuration since it was read; nothing was posted: do it again")
	}
	return client.Post(ctx, text)
}
