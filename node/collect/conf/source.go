package conf

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Sources say where configuration texts come from.
type Sources struct {
	// Files are paths and http(s) URLs, read in this order and before the directories.
	Files []string
	// Directories are walked recursively, in lexical order, for files called *.conf or holdfast.toml. Directories
	// whose names begin with ".." are skipped: Kubernetes keeps its copies of a mounted volume there.
	Directories []string
	// Fetch says how URLs are read.
	Fetch Fetch
	// Parse says how the texts are read.
	Parse ParseOptions
}

// Own is the name of the file that holds a node's own settings.
const Own = "holdfast.toml"

var urlPattern = regexp.MustCompile(`^\w+://`)

// Read reads and parses all sources. It returns the tables of all files in load order. Warnings, such as a URL that was
// answered from the copy kept of it or a reference to a variable that is not set, are for the log.
func Read(ctx context.Context, s Sources) (tables []*Table, warnings []string, err error) {
	names := slices.Clone(s.Files)
	for _, dir := range s.Directories {
		files, err := walk(dir)
		if err != nil {
			return nil, nil, fmt.Errorf("configuration directory %s: %w", dir, err)
		}
		names = append(names, files...)
	}
	for _, name := range names {
		shown, text, warning, err := s.read(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
		parsed, err := Parse(shown, text, s.Parse)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range parsed {
			warnings = append(warnings, t.unset()...)
		}
		tables = append(tables, parsed...)
	}
	return tables, warnings, nil
}

// read returns a text, and the name it may be shown under: a URL without its password and its query.
func (s Sources) read(ctx context.Context, name string) (shown string, text []byte, warning string, err error) {
	if !urlPattern.MatchString(name) {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", nil, "", fmt.Errorf("reading the configuration: %w", err)
		}
		return name, text, "", nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return "", nil, "", fmt.Errorf("the configuration's URL cannot be parsed; write it as https://host/path")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", nil, "", fmt.Errorf("configuration %s: the scheme %q is not supported; use http, https or a path", shownURL(u), u.Scheme)
	}
	text, warning, err = s.Fetch.get(ctx, u)
	return shownURL(u), text, warning, err
}

func shownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

func walk(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && strings.HasPrefix(d.Name(), ".."):
			return fs.SkipDir
		case d.IsDir():
		case d.Name() == Own, filepath.Ext(d.Name()) == ".conf" && d.Name() != ".conf":
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// DefaultSources returns what is read when nothing was named: Holdfast's own file, then Telegraf's.
//
// Holdfast's is $HOLDFAST_CONFIG_PATH (a path or URL), else ~/.holdfast/holdfast.toml, else /etc/holdfast/holdfast.toml with
// /etc/holdfast/holdfast.d. Telegraf's is $TELEGRAF_CONFIG_PATH, else ~/.telegraf/telegraf.conf, else
// /etc/telegraf/telegraf.conf with /etc/telegraf/telegraf.d. On Windows, %ProgramFiles%\Holdfast and
// %ProgramFiles%\Telegraf stand for the directories in /etc. Only what exists is returned.
func DefaultSources(env Lookup) (files, directories []string) {
	for _, p := range []struct{ variable, name, file string }{
		{"HOLDFAST_CONFIG_PATH", "holdfast", Own},
		{"TELEGRAF_CONFIG_PATH", "telegraf", "telegraf.conf"},
	} {
		f, d := defaultsOf(env, p.variable, p.name, p.file)
		files = append(files, f...)
		directories = append(directories, d...)
	}
	return files, directories
}

func defaultsOf(env Lookup, variable, name, file string) (files, directories []string) {
	if named, _ := env(variable); named != "" {
		return []string{named}, nil
	}
	if home, _ := env("HOME"); home != "" {
		if path := filepath.Join(home, "."+name, file); exists(path) {
			return []string{path}, nil
		}
	}
	system := filepath.Join("/etc", name)
	if runtime.GOOS == "windows" {
		programs, set := env("ProgramFiles")
		if !set {
			programs = `C:\Program Files`
		}
		system = filepath.Join(programs, strings.ToUpper(name[:1])+name[1:])
	}
	if path := filepath.Join(system, file); exists(path) {
		files = append(files, path)
	}
	if path := filepath.Join(system, name+".d"); exists(path) {
		directories = append(directories, path)
	}
	return files, directories
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
