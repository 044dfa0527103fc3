package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust/client"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/images"
)

// serviceFlags say which signing service is asked, and as whom.
type serviceFlags struct{ url, tokenFile, ca, certificate, key string }

func (f *serviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "url", "http://127.0.0.1:8470", "the signing service")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "a file with the token: of ci-credentials, or the one that CI has by OIDC (else the variable HOLDFAST_TRUST_TOKEN)")
	cmd.Flags().StringVar(&f.ca, "ca", "", "a PEM file with the authority of the service's certificate")
	cmd.Flags().StringVar(&f.certificate, "certificate", "", "a client certificate, instead of a token")
	cmd.Flags().StringVar(&f.key, "key", "", "the key of --certificate")
}

// client is one of the service. What is missing for it is seen before anything is done.
func (f *serviceFlags) client(cmd *cobra.Command, a *app) (*client.Client, error) {
	ca, err := optional(f.ca)
	if err != nil {
		return nil, err
	}
	token, pair := func() (string, error) { return f.token(cmd, a) }, (*tls.Certificate)(nil)
	if f.certificate != "" {
		loaded, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate of --certificate and --key: %w", err)
		}
		token, pair = nil, &loaded
	} else if _, err := token(); err != nil {
		return nil, err
	}
	c, err := client.New(f.url, token, ca, pair)
	if err != nil {
		return nil, commandline.Usage(cmd, err)
	}
	c.Again = func(reason error) { a.tell("%v; trying again for half a minute", reason) }
	return c, nil
}

func (f *serviceFlags) token(cmd *cobra.Command, a *app) (string, error) {
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		return strings.TrimSpace(string(text)), err
	}
	if t := a.Getenv("HOLDFAST_TRUST_TOKEN"); t != "" {
		return t, nil
	}
	return "", commandline.Usage(cmd, errors.New("there is no token: give --token-file, or the variable HOLDFAST_TRUST_TOKEN"))
}

// sign has images signed, and tells of each; the error does not say again what was told.
func sign(ctx context.Context, c *client.Client, r endpoint.Request, tell func(endpoint.Result)) error {
	err := c.Sign(ctx, r, tell)
	var failed *client.NotSignedError
	if errors.As(err, &failed) {
		return fmt.Errorf("%d of %d images were not signed", failed.Failed, failed.Total)
	}
	return err
}

// optional reads a file whose name may be empty.
func optional(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(file)
}

func (a *app) signCommand() *cobra.Command {
	var service serviceFlags
	var thirdParty, force bool
	cmd := &cobra.Command{Use: "sign IMAGE@DIGEST...", Short: "Have images signed by the signing service", Args: arguments(1, many)}
	service.add(cmd)
	cmd.Flags().BoolVar(&thirdParty, "third-party", false, "put the signatures into the repository for images that others publish")
	cmd.Flags().BoolVar(&force, "force", false, "sign again what was signed just now")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := service.client(cmd, a)
		if err != nil {
			return err
		}
		return sign(cmd.Context(), c, endpoint.Request{Images: args, ThirdParty: thirdParty, Force: force}, a.showSigned)
	}
	return cmd
}

func (a *app) showSigned(r endpoint.Result) {
	switch {
	case r.Error != "":
		a.printf("FAILED  %s: %s\n", r.Image, r.Error)
	case r.Written:
		a.printf("signed  %s by %s until %s: %s\n", r.Image, r.Key, r.NotAfter.Format(time.RFC3339), r.Signature)
	default:
		a.printf("fresh   %s by %s: %s\n", r.Image, r.Key, r.Signature)
	}
}

func (a *app) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "images", Short: "Check and update the lists of images that others publish"}
	check := &cobra.Command{Use: "check FILE...", Short: "Say what is wrong with lists of images", Args: arguments(1, many), RunE: func(_ *cobra.Command, args []string) error {
		_, err := a.lists(args)
		return err
	}}
	var dry bool
	update := &cobra.Command{Use: "update FILE...", Short: "Write what the tags of lists name now; what changed needs a review again", Args: arguments(1, many), RunE: func(cmd *cobra.Command, args []string) error {
		for _, file := range args {
			if err := a.update(cmd.Context(), file, !dry); err != nil {
				return err
			}
		}
		return nil
	}}
	update.Flags().BoolVar(&dry, "dry-run", false, "only say what would change")
	cmd.AddCommand(check, update)
	return cmd
}

// lists reads and checks lists, and prints their problems.
func (a *app) lists(files []string) (all []*images.List, err error) {
	var problems []images.Problem
	for _, file := range files {
		l, found, err := images.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file))
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].File = file
		}
		for i := range l.Images {
			l.Images[i].File = file
		}
		problems = append(problems, found...)
		all = append(all, l)
	}
	problems = append(problems, images.Check(all, time.Now())...)
	errs := 0
	for _, p := range problems {
		a.printf("%s\n", p)
		if !p.Warning {
			errs++
		}
	}
	if errs > 0 {
		return all, fmt.Errorf("%d errors in %s", errs, strings.Join(files, ", "))
	}
	return all, nil
}

func (a *app) update(ctx context.Context, file string, write bool) error {
	l, _, err := images.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file))
	if err != nil {
		return err
	}
	text, changes, err := images.Update(ctx, l, func(ctx context.Context, tag name.Tag) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		d, err := remote.Head(tag, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		if err != nil {
			return "", err
		}
		return d.Digest.String(), nil
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		a.printf("%s:%d: %s:%s names %s now, and not %s\n", file, c.Line, c.Reference.Context(), c.Tag, c.Digest, c.Reference.DigestStr())
	}
	if !write || len(changes) == 0 {
		return nil
	}
	at, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, at.Mode().Perm())
}

func (a *app) resignCommand() *cobra.Command {
	var service serviceFlags
	var w work
	var dry bool
	cmd := &cobra.Command{Use: "resign [IMAGE@DIGEST...]", Short: "Sign again what is to go on running: the lists of images of others, and images of our own", Args: arguments(0, many)}
	service.add(cmd)
	w.add(cmd)
	cmd.Flags().BoolVar(&w.force, "force", false, "sign again what was signed just now")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be signed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		theirs, ours, problems, err := w.find(cmd.Context(), a, args)
		if err != nil {
			return err
		}
		if len(theirs)+len(ours) == 0 {
			return errors.Join(commandline.Usage(cmd, errors.New("there is nothing to sign: give --images, --deployed, --kubeconfig, or images")), problems)
		}
		if dry {
			for _, i := range theirs {
				a.printf("would sign third-party %s\n", i)
			}
			for _, i := range ours {
				a.printf("would sign own %s\n", i)
			}
			return problems
		}
		c, err := service.client(cmd, a)
		if err != nil {
			return err
		}
		// What is wrong with some entries does not keep the others from being signed.
		return errors.Join(a.resign(cmd.Context(), c, theirs, ours, w.force), problems)
	}
	return cmd
}

// work is what is to be signed again.
type work struct {
	lists, files, kubeconfigs []string
	force                     bool
}

func (w *work) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&w.lists, "images", nil, "lists of images that others publish")
	cmd.Flags().StringSliceVar(&w.files, "deployed", nil, "files with images of our own, by digest, one on each line")
	cmd.Flags().StringSliceVar(&w.kubeconfigs, "kubeconfig", nil, "clusters whose images of our own are meant: those that are not of the lists")
}

// find returns the images of others and our own. Problems with entries of lists leave the rest.
func (w *work) find(ctx context.Context, a *app, args []string) (theirs, ours []string, problems, err error) {
	all, problems := a.lists(w.lists)
	if all == nil && problems != nil {
		return nil, nil, nil, problems // a list could not be read at all
	}
	listed := map[string]bool{} // repositories of others
	for _, l := range all {
		for _, i := range l.Images {
			listed[i.Reference.Context().Name()] = true
		}
	}
	for _, i := range images.Signable(all, time.Now()) {
		theirs = append(theirs, i.Reference.Name())
	}
	ours = append(ours, args...)
	for _, file := range w.files {
		found, readErr := referencesIn(file)
		ours, err = append(ours, found...), errors.Join(err, readErr)
	}
	if len(w.kubeconfigs) > 0 {
		running, _, readErr := deployed(ctx, w.kubeconfigs)
		err = errors.Join(err, readErr)
		for _, i := range running {
			if repository, _, _ := strings.Cut(i.Reference, "@"); !listed[repository] {
				ours = append(ours, i.Reference)
			}
		}
	}
	slices.Sort(ours)
	return theirs, slices.Compact(ours), problems, err
}

// resign has images signed again, and tells how far it is and how long it took.
func (a *app) resign(ctx context.Context, c *client.Client, theirs, ours []string, force bool) (err error) {
	bar := newBar(a.Err, len(theirs)+len(ours))
	for _, r := range []endpoint.Request{{Images: theirs, ThirdParty: true, Force: force}, {Images: ours, Force: force}} {
		err = errors.Join(err, sign(ctx, c, r, func(result endpoint.Result) {
			if bar.step(); result.Error != "" {
				a.showSigned(result)
			}
		}))
	}
	a.printf("%s\n", bar.end())
	return err
}
