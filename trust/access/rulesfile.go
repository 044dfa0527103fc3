package access

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
)

// RulesFile is a rules file that is read again when it changed.
type RulesFile struct {
	Logger *slog.Logger // told of each change, and of each version that is wrong

	file followed[*Rules]
	mu   sync.Mutex
	used *Rules
	told string // the error that was told last
}

// OpenRules reads a rules file, which must be right.
func OpenRules(path string) (*RulesFile, error) {
	f, err := AwaitRules(path)
	if err == nil && f.told != "" {
		return nil, fmt.Errorf("reading the rules of who may have what signed: %w; write them there (a file with the line rules: [] allows nobody anything)", f.Err())
	}
	return f, err
}

// AwaitRules is OpenRules of a file that need not be there yet. Nothing is allowed until it is.
func AwaitRules(path string) (*RulesFile, error) {
	f := &RulesFile{Logger: slog.New(slog.DiscardHandler), used: new(Rules)}
	f.file = followed[*Rules]{path: path, limit: maxRulesFile, parse: func(text []byte) (*Rules, error) { return ParseRules(path, text) }}
	rules, err := f.file.get()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.told = err.Error() // by who opens it
	case err != nil:
		return nil, fmt.Errorf("reading the rules of who may have what signed: %w", err)
	default:
		f.used = rules
	}
	return f, nil
}

// Current returns the rules as the file has them. While the file is wrong or missing it is the last that were right, so that a slip of
// the pen does not stop all signing; Err says so.
func (f *RulesFile) Current() *Rules {
	f.mu.Lock()
	defer f.mu.Unlock()
	rules, err := f.file.get()
	if err != nil {
		if f.told != err.Error() {
			f.told = err.Error()
			f.Logger.Error("rules not taken: those before stay in force", "error", err)
		}
		return f.used
	}
	f.told = ""
	if rules != f.used {
		rules.adopt(f.used)
		f.used = rules
		f.Logger.Info("rules taken", "file", f.file.path, "rules", len(rules.rules), "issuers", len(rules.issuers))
	}
	return f.used
}

// Err is why the file is not in force as it is now, or nil.
func (f *RulesFile) Err() error {
	_, err := f.file.get()
	return err
}

// adopt keeps issuers that did not change, with the keys that they have.
func (r *Rules) adopt(before *Rules) {
	for url, issuer := range r.issuers {
		if old := before.issuers[url]; old != nil && old.Audience == issuer.Audience && old.KeysFile == issuer.KeysFile && old.CAFile == issuer.CAFile {
			r.issuers[url] = old
		}
	}
}
