package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/holdfast-telemetry/holdfast/trust"
	"github.com/holdfast-telemetry/holdfast/trust/inventory"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// deployed reads what runs in the clusters of kubeconfig files.
func deployed(ctx context.Context, kubeconfigs []string) (all []inventory.Image, unpinned []string, err error) {
	seen := map[string]int{}
	for _, file := range kubeconfigs {
		config, err := trust.ClusterConfig(file)
		if err != nil {
			return nil, nil, err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, nil, err
		}
		d, err := inventory.Read(ctx, client)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, i := range d.Images {
			at, known := seen[i.Reference]
			if !known {
				seen[i.Reference] = len(all)
				all = append(all, i)
				continue
			}
			all[at].Pods += i.Pods
			if all[at].Exempt && !i.Exempt {
				all[at].Exempt, all[at].First = false, i.First
			}
		}
		unpinned = append(unpinned, d.Unpinned...)
	}
	return all, unpinned, nil
}

func (a *app) inventoryCommand() *cobra.Command {
	var kubeconfigs, plain []string
	var list, pin, ca string
	var within time.Duration
	cmd := &cobra.Command{Use: "inventory", Short: "Say by which key each deployed image is signed, and when it stops being admitted", Args: arguments(0, 0),
		Long: "Say by which key each deployed image is signed, and when it stops being admitted. It ends with 1 when an image is not admitted any more, or will not be within --within, and with 3 when that could not be found out."}
	cmd.Flags().StringSliceVar(&kubeconfigs, "kubeconfig", []string{""}, "how to reach the clusters")
	cmd.Flags().StringVar(&list, "keys", "http://127.0.0.1:8470/v1/keys", "URL of the key list")
	cmd.Flags().StringVar(&pin, "pin", "", "a PEM file with the list key")
	cmd.Flags().StringVar(&ca, "ca", "", "a PEM file with the authority of the endpoint's certificate")
	cmd.Flags().StringSliceVar(&plain, "plain", nil, "registries, HOST:PORT, without TLS")
	cmd.Flags().DurationVar(&within, "within", 72*time.Hour, "complain of images that stop being admitted within this")
	_ = cmd.MarkFlagRequired("pin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		images, unpinned, err := deployed(cmd.Context(), kubeconfigs)
		if err != nil {
			return &unknownError{err}
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
		for _, image := range unpinned {
			a.printf("UNPINNED %s\n", image)
		}
		return a.inventory(cmd.Context(), &signature.Reader{Client: registries}, l, images, within)
	}
	return cmd
}

func (a *app) inventory(ctx context.Context, r *signature.Reader, l *keylist.List, images []inventory.Image, within time.Duration) error {
	ending, unknown := 0, error(nil)
	for _, i := range images {
		if i.Exempt {
			a.printf("exempt  %s: %d pods, such as %s, are admitted unseen\n", i.Reference, i.Pods, i.First)
			continue
		}
		by, until, err := admitted(ctx, r, l, i.Reference)
		switch {
		case errors.Is(err, signature.ErrNotSigned):
			ending++
			a.printf("REFUSED %s: %d pods, such as %s, are not admitted again\n", i.Reference, i.Pods, i.First)
		case err != nil:
			unknown = errors.Join(unknown, err)
			a.printf("UNKNOWN %s: %v\n", i.Reference, err)
		case time.Until(until) < within:
			ending++
			a.printf("ENDING  %s by %s until %s: %d pods, such as %s\n", i.Reference, by, until.Format(time.RFC3339), i.Pods, i.First)
		default:
			a.printf("ok      %s by %s until %s: %d pods\n", i.Reference, by, until.Format(time.RFC3339), i.Pods)
		}
	}
	if ending > 0 {
		return fmt.Errorf("%d of %d deployed images are not admitted any more, or will not be within %v: sign them again (holdfast-trust resign)", ending, len(images), within)
	}
	if unknown != nil {
		return &unknownError{unknown}
	}
	return nil
}

// admitted says by which key an image is admitted for longest, wherever its signature is.
func admitted(ctx context.Context, r *signature.Reader, l *keylist.List, reference string) (by key.ID, until time.Time, err error) {
	image, err := name.NewDigest(reference)
	if err != nil {
		return by, until, err
	}
	v := &inventory.Verifier{Reader: r}
	for _, k := range l.Usable(time.Now()) {
		v.Keys = append(v.Keys, inventory.Key{Public: key.Public{ID: k.ID, Key: k.Public}, NotAfter: k.NotAfter})
	}
	for _, s := range l.Sources {
		place, err := name.NewRepository(s)
		if err != nil {
			return by, until, err
		}
		v.Sources = append(v.Sources, place)
	}
	return v.Until(ctx, image, true)
}

// referencesIn reads a file with an image on each line; empty lines and those that begin with # are left out.
func referencesIn(file string) (all []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all, nil
}
