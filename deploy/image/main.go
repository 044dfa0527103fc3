// Command image assembles the image of one static program for several platforms, without a container engine: on nothing, one layer
// with the program, CA certificates and the user 65532. It writes an OCI layout, which any tool can copy, and prints the digest of the
// index; with -push it also pushes, with the credentials of docker login, and with -tar it writes a file for docker load.
//
// The same programs, certificates and flags give the same digest on every machine: no time is taken from the clock and no order from a
// map.
//
//	go run ./deploy/image -name holdfast -version 0.1.0 -output dist/image/holdfast \
//	  -binary linux/amd64=dist/holdfast-linux-amd64 -binary linux/arm64=dist/holdfast-linux-arm64
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	spec     Spec
	binaries binaries
	certs    string
	output   string
	push     string
	tar      string
	platform string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.spec.Certificates, err = certificates(o.certs); err != nil {
		return err
	}
	for _, b := range o.binaries {
		p, err := openProgram(b.platform, b.path)
		if err != nil {
			return err
		}
		o.spec.Programs = append(o.spec.Programs, p)
	}
	idx, err := o.spec.Index()
	if err != nil {
		return err
	}
	digest, err := idx.Digest()
	if err != nil {
		return err
	}
	if err := writeLayout(o.output, idx, o.spec.Version); err != nil {
		return err
	}
	if o.tar != "" {
		if err := writeTar(o.tar, o.platform, o.spec, idx); err != nil {
			return err
		}
	}
	at := o.spec.Name
	if o.push != "" {
		if at, err = push(ctx, o.push, idx); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s@%s\n", at, digest)
	return err
}

// parse reads the flags, and answers -h on out.
func parse(args []string, out io.Writer) (*options, error) {
	o := &options{}
	created := created{at: time.Unix(0, 0).UTC()}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		if err := created.Set(epoch); err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
	}
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	f.StringVar(&o.spec.Name, "name", "", "name of the program, which is put at /usr/local/bin/`NAME`")
	f.StringVar(&o.spec.Version, "version", "", "version, for the labels and the layout's reference")
	f.StringVar(&o.spec.Revision, "revision", "", "commit, for the labels")
	f.StringVar(&o.spec.Description, "description", "", "one sentence, for the labels")
	f.Var(&created, "created", "time of all files and of the image, as seconds since 1970 or RFC 3339 (default: SOURCE_DATE_EPOCH, or 1970)")
	f.Var(&o.binaries, "binary", "static program for a platform, as `OS/ARCH=FILE`; repeatable")
	f.StringVar(&o.certs, "ca-certificates", "", "PEM `FILE` of the CA certificates (default: this machine's); \"none\" for an image without")
	f.StringVar(&o.output, "output", "", "`FOLDER` of the OCI layout; it is replaced")
	f.StringVar(&o.push, "push", "", "also push to this `REFERENCE`, with the credentials of docker login")
	f.StringVar(&o.tar, "tar", "", "also write `FILE` for docker load, with the image of one platform")
	f.StringVar(&o.platform, "tar-platform", "linux/"+runtime.GOARCH, "that platform")
	f.SetOutput(io.Discard) // an error is returned, and not printed as well
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		f.SetOutput(out)
		f.PrintDefaults()
		return nil, err
	} else if err != nil {
		return nil, err
	}
	o.spec.Created = created.at
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.spec.Name == "":
		return nil, errors.New("-name is missing")
	case o.spec.Version == "":
		return nil, errors.New("-version is missing")
	case len(o.binaries) == 0:
		return nil, errors.New("-binary is missing")
	case o.output == "":
		return nil, errors.New("-output is missing")
	}
	return o, nil
}

// binaries are the values of -binary.
type binaries []struct {
	platform v1.Platform
	path     string
}

func (b *binaries) String() string { return "" }

func (b *binaries) Set(s string) error {
	platform, path, ok := strings.Cut(s, "=")
	if !ok || path == "" {
		return errors.New("want OS/ARCH=FILE")
	}
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return err
	}
	if p.OS == "" || p.Architecture == "" {
		return fmt.Errorf("%q is no platform; want OS/ARCH", platform)
	}
	for _, have := range *b {
		if have.platform.Equals(*p) {
			return fmt.Errorf("%s is given twice", platform)
		}
	}
	*b = append(*b, struct {
		platform v1.Platform
		path     string
	}{*p, path})
	return nil
}

// created is the value of -created.
type created struct{ at time.Time }

func (c *created) String() string { return "" }

func (c *created) Set(s string) error {
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		c.at = time.Unix(sec, 0).UTC()
		return nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return errors.New("want seconds since 1970 or RFC 3339")
	}
	c.at = t.UTC().Truncate(time.Second)
	return nil
}

// push pushes the index and everything in it, and returns the repository.
func push(ctx context.Context, to string, idx v1.ImageIndex) (string, error) {
	ref, err := name.ParseReference(to)
	if err != nil {
		return "", fmt.Errorf("-push: %w", err)
	}
	if err := remote.WriteIndex(ref, idx, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return "", fmt.Errorf("pushing to %s: %w", ref, err)
	}
	return ref.Context().Name(), nil
}

// writeTar writes the image of one platform. docker load does not read an index.
func writeTar(path, platform string, s Spec, idx v1.ImageIndex) error {
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return fmt.Errorf("-tar-platform: %w", err)
	}
	img, err := imageFor(idx, *p)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(s.Name + ":" + s.Version)
	if err != nil {
		return fmt.Errorf("naming the image in %s: %w", path, err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
