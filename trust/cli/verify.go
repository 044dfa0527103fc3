package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/sync"
)

func (a *app) verifyCommand() *cobra.Command {
	var list, pin, ca string
	var plain []string
	var w work
	cmd := &cobra.Command{Use: "verify [IMAGE@DIGEST...]", Short: "Say by which listed key images are signed, and until when they may be deployed", Args: arguments(0, many),
		Long: "Say by which listed key images are signed, and until when they may be deployed. It ends with 1 when an image is not signed, or one of our own is not in its registry, and with 3 when that could not be found out."}
	cmd.Flags().StringVar(&list, "keys", "http://127.0.0.1:8470/v1/keys", "URL of the key list")
	cmd.Flags().StringVar(&pin, "pin", "", "a PEM file with the list key (holdfast-trust keys pin prints it)")
	cmd.Flags().StringVar(&ca, "ca", "", "a PEM file with the authority of the endpoint's certificate")
	cmd.Flags().StringSliceVar(&plain, "plain", nil, "registries, HOST:PORT, without TLS")
	w.add(cmd)
	_ = cmd.MarkFlagRequired("pin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		theirs, ours, problems, err := w.find(cmd.Context(), a, args)
		if err != nil {
			return err
		}
		if len(theirs)+len(ours) == 0 {
			return errors.Join(&usageError{cmd, errors.New("there is nothing to verify: give images, --images, --deployed or --kubeconfig")}, problems)
		}
		l, err := fetchList(cmd.Context(), list, pin, ca)
		if err != nil {
			return &unknownError{err}
		}
		registries, err := signature.NewClient(signature.Options{Plain: plain, UserAgent: "holdfast-trust", Attempts: 3})
		if err != nil {
			return err
		}
		defer registries.Close()
		return errors.Join(a.verify(cmd.Context(), &signature.Reader{Client: registries}, l, theirs, ours), problems)
	}
	return cmd
}

// fetchList fetches a key list and opens it.
func fetchList(ctx context.Context, url, pin, ca string) (*keylist.List, error) {
	pem, err := os.ReadFile(pin)
	if err != nil {
		return nil, err
	}
	pinned, err := key.ParsePEM(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pin, err)
	}
	authority, err := optional(ca)
	if err != nil {
		return nil, err
	}
	f, err := sync.NewFetcher(url, authority, true)
	if err != nil {
		return nil, err
	}
	raw, err := f.Fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetching the key list: %w", err)
	}
	o, err := keylist.Open(raw, pinned)
	if err != nil {
		return nil, err
	}
	if _, err := (keylist.Seen{}).Accept(o, time.Now()); err != nil {
		return nil, err
	}
	return o.List, nil
}

func (a *app) verify(ctx context.Context, r *signature.Reader, l *keylist.List, theirs, ours []string) error {
	unsigned, unknown := 0, error(nil)
	for image, v := range verdicts(ctx, r, l, theirs, ours) {
		switch {
		case errors.Is(v.err, signature.ErrNotSigned), errors.Is(v.err, signature.ErrNoImage):
			unsigned++
			a.printf("REFUSED %s: %v\n", image, v.err)
		case v.err != nil:
			unknown = errors.Join(unknown, v.err)
			a.printf("UNKNOWN %s: %v\n", image, v.err)
		default:
			a.printf("ok      %s by %s until %s\n", image, v.by, v.until.Format(time.RFC3339))
		}
	}
	if unsigned > 0 {
		return fmt.Errorf("%d of %d images are not signed by a listed key, or not in their registry", unsigned, len(theirs)+len(ours))
	}
	if unknown != nil {
		return &unknownError{unknown}
	}
	return nil
}

// verdict is what would become of an image.
type verdict struct {
	by    key.ID // the key that it is admitted by for longest
	until time.Time
	err   error // why it is not, or why that is not known
}

// verdicts ask registries of images, of some at a time, and give each in turn. Images of our own must be there, too; those of others are not
// asked for where they come from.
func verdicts(ctx context.Context, r *signature.Reader, l *keylist.List, theirs, ours []string) iter.Seq2[string, verdict] {
	ask := func(image string, own bool) (v verdict) {
		if v.by, v.until, v.err = admitted(ctx, r, l, image); v.err != nil || !own {
			return v
		}
		digest, err := name.NewDigest(image)
		if err == nil {
			err = r.Exists(ctx, digest)
		}
		v.err = err
		return v
	}
	return func(yield func(string, verdict) bool) {
		const ahead = 16
		asked := make([]chan verdict, len(theirs)+len(ours))
		image := func(n int) string {
			if n < len(theirs) {
				return theirs[n]
			}
			return ours[n-len(theirs)]
		}
		begin := func(n int) {
			asked[n] = make(chan verdict, 1)
			go func() { asked[n] <- ask(image(n), n >= len(theirs)) }()
		}
		for n := range min(ahead, len(asked)) {
			begin(n)
		}
		for n := range asked {
			v := <-asked[n]
			if n+ahead < len(asked) {
				begin(n + ahead)
			}
			if !yield(image(n), v) {
				return
			}
		}
	}
}
