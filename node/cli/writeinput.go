package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// inputFlags say where lines come from.
type inputFlags struct {
	files, urls         []string
	format, compression string
}

func (f *inputFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.files, "file", "f", nil, "The path to the `file` to import; repeatable")
	flags.StringArrayVarP(&f.urls, "url", "u", nil, "The `URL` to import data from; repeatable")
	flags.StringVar(&f.format, "format", "", "Input format: lp (line protocol)")
	flags.StringVar(&f.compression, "compression", "", "Input compression, either none or gzip (default: gzip for names that end in .gz)")
}

// input is one place that lines are read from.
type input struct {
	name string
	io.Reader
}

// inputs are read in their order.
type inputs struct {
	list    []input
	closers []io.Closer
	// bytes is how many bytes there will be to read, unless unsized tells that some input does not say.
	bytes   int64
	unsized bool
}

// size returns how many bytes there will be to read, 0 when that is not known.
func (in *inputs) size() int64 {
	if in.unsized {
		return 0
	}
	return in.bytes
}

func (in *inputs) Close() error {
	var err error
	for _, c := range in.closers {
		err = errors.Join(err, c.Close())
	}
	in.closers = nil
	return err
}

// open opens everything before anything is sent, so that a wrong name stores nothing.
func (f *inputFlags) open(ctx context.Context, s *session) (in *inputs, err error) {
	if err := f.check(s.cmd); err != nil {
		return nil, err
	}
	in = new(inputs)
	defer func() {
		if err != nil {
			_ = in.Close() // the first error is the one to tell
		}
	}()
	files, argument := f.files, ""
	if len(s.args) == 1 {
		argument = s.args[0]
	}
	if name, ok := strings.CutPrefix(argument, "@"); ok && name != "" {
		files, argument = append(files, name), ""
	}
	for _, name := range files {
		if err := f.addFile(in, name); err != nil {
			return in, err
		}
	}
	for _, address := range f.urls {
		if err := f.addURL(ctx, in, address); err != nil {
			return in, err
		}
	}
	switch {
	case argument == "-" || argument == "" && len(in.list) == 0:
		if file, ok := s.In.(*os.File); ok && term.IsTerminal(int(file.Fd())) && argument == "" {
			return in, usagef(s.cmd, "nothing to write: give lines as an argument, --file, --url, or - to type them")
		}
		in.unsized = true
		err = f.add(in, "stdin", s.In, f.compression == "gzip")
	case argument != "":
		err = f.add(in, "argument", strings.NewReader(argument), false)
	}
	return in, err
}

func (f *inputFlags) check(cmd *cobra.Command) error {
	csv := f.format == "csv"
	for _, name := range append(f.files, f.urls...) {
		csv = csv || f.format == "" && strings.HasSuffix(strings.TrimSuffix(name, ".gz"), ".csv")
	}
	switch {
	case csv:
		return usagef(cmd, "CSV input is not supported yet: convert it to line protocol (--format lp reads a file as that, whatever its name)")
	case f.format != "" && f.format != "lp":
		return usagef(cmd, "--format %q is not understood: it is lp", f.format)
	case f.compression != "" && f.compression != "none" && f.compression != "gzip":
		return usagef(cmd, "--compression %q is not understood: it is none or gzip", f.compression)
	}
	return nil
}

func (f *inputFlags) addFile(in *inputs, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("opening the input: %w", err)
	}
	in.closers = append(in.closers, file)
	zipped := f.zipped(name)
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		in.bytes += info.Size()
	} else {
		in.unsized = true
	}
	return f.add(in, name, file, zipped)
}

func (f *inputFlags) addURL(ctx context.Context, in *inputs, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("opening %q: %w", address, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("opening the input: %w", err)
	}
	in.closers = append(in.closers, resp.Body)
	in.unsized = true
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("opening %q: the server answered %s", address, resp.Status)
	}
	return f.add(in, address, resp.Body, f.zipped(req.URL.Path))
}

func (f *inputFlags) zipped(name string) bool {
	return f.compression == "gzip" || f.compression == "" && strings.HasSuffix(name, ".gz")
}

func (f *inputFlags) add(in *inputs, name string, r io.Reader, zipped bool) error {
	if zipped {
		unzip, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("decompressing %s: %w", name, err)
		}
		in.unsized = true // what it unpacks to is not known
		r = unzip
	}
	in.list = append(in.list, input{name, r})
	return nil
}
