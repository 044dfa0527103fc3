package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

func init() { commands = append(commands, (*app).snapshotCommand) }

// snapshotFlags are how snapshots are taken.
type snapshotFlags struct {
	storeFlags
	kubeconfig, passphrase, listen string
	recipients                     []string
	values                         bool
	keep                           int
	every, timeout                 time.Duration
}

func (a *app) snapshotCommand() *cobra.Command {
	var f snapshotFlags
	cmd := &cobra.Command{Use: "snapshot STORE", Short: "Export what a recovery needs", Args: commandline.Arguments(1, 1),
		Long: `Export what a recovery needs into a new snapshot in STORE, a folder or s3://bucket/prefix: volumes with their disks, claims, sets, classes,
attachments, namespaces, Argo CD's objects, and the names and keys of Secrets. Values of Secrets are in it only with
--include-secret-values, encrypted for age recipients or with a passphrase. Keep STORE off the cluster.

Run it from a CronJob, or with --every for as long as it runs. Credentials of an object store are found as the tools of AWS find them:
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_SHARED_CREDENTIALS_FILE, or the account of the pod.

Exit codes: 0 done; 2 the command line is wrong; 3 the cluster could not be asked, or the store could not be read or written.`}
	f.storeFlags.add(cmd)
	cmd.Flags().StringVar(&f.kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.Flags().IntVar(&f.keep, "keep", 0, "how many snapshots stay; 0 keeps all")
	cmd.Flags().DurationVar(&f.every, "every", 0, "go on, and take one each time that this is over; 0 takes one and ends")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long one snapshot may take")
	cmd.Flags().StringVar(&f.listen, "listen", "", "with --every, the `address` of /metrics, /healthz and /readyz, as :8473")
	cmd.Flags().BoolVar(&f.values, "include-secret-values", false, "encrypt the values of Secrets into the snapshot")
	cmd.Flags().StringSliceVar(&f.recipients, "recipient", nil, "who may read them: age1...")
	cmd.Flags().StringVar(&f.passphrase, "passphrase-file", "", "a file with the passphrase that they are encrypted with, instead of recipients")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return commandline.Usage(cmd, err)
		}
		store, err := a.store(args[0], &f.storeFlags)
		if err != nil {
			return commandline.Usage(cmd, err)
		}
		return a.takeSnapshots(cmd.Context(), store, &f)
	}
	cmd.AddCommand(a.secretsCommand())
	return cmd
}

func (f *snapshotFlags) check() error {
	switch {
	case f.keep < 0:
		return errors.New("--keep is not negative")
	case f.values != (len(f.recipients) > 0 || f.passphrase != ""):
		return errors.New("--include-secret-values goes with --recipient or --passphrase-file")
	case f.timeout <= 0 || f.every < 0 || f.every > 0 && f.every < time.Second:
		return errors.New("--timeout is more than nothing, and --every at least a second")
	case f.every == 0 && f.listen != "":
		return errors.New("--listen goes with --every")
	}
	return nil
}

func (a *app) takeSnapshots(ctx context.Context, store snapshot.Store, f *snapshotFlags) error {
	who, err := readers(f.recipients, f.passphrase)
	if err != nil {
		return err
	}
	config, err := clusterConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	take := func(ctx context.Context) (string, error) {
		return snapshot.Take(ctx, client, store, snapshot.Options{Recipients: who, Keep: f.keep})
	}
	if f.every > 0 {
		return a.everySnapshot(ctx, store, f, take)
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	path, err := take(ctx)
	if path != "" {
		a.printf("%s\n", path)
	}
	return unknown(err)
}

// everySnapshot takes snapshots until it is told to end.
func (a *app) everySnapshot(ctx context.Context, store snapshot.Store, f *snapshotFlags, take func(context.Context) (string, error)) error {
	r := snapshot.NewRegular(store, f.every)
	r.Timeout, r.Take, r.Log = f.timeout, take, slog.New(slog.NewTextHandler(a.Err, nil))
	if f.listen != "" {
		l, err := net.Listen("tcp", f.listen)
		if err != nil {
			return unknown(fmt.Errorf("--listen %s: %w", f.listen, err))
		}
		registry := prometheus.NewRegistry()
		r.Register(registry)
		s := &http.Server{Handler: r.Handler(registry), ReadHeaderTimeout: 10 * time.Second}
		go func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				r.Log.Error("serving metrics", "error", err)
			}
		}()
		defer func() { _ = s.Close() }() // nobody is left to hear of it
	}
	r.Run(ctx)
	return nil
}

// readers are those who may decrypt values.
func readers(recipients []string, passphrase string) (all []age.Recipient, err error) {
	for _, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, &exitError{ExitUsage, fmt.Errorf("--recipient %s is no recipient of age (age1…): %w", text, err)}
		}
		all = append(all, r)
	}
	if passphrase == "" {
		return all, nil
	}
	if len(recipients) > 0 {
		return nil, &exitError{ExitUsage, errors.New("a snapshot is encrypted for recipients or with a passphrase, not both")}
	}
	secret, err := passphraseOf(passphrase)
	if err != nil {
		return nil, err
	}
	r, err := age.NewScryptRecipient(secret)
	return []age.Recipient{r}, err
}

func passphraseOf(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", unknown(fmt.Errorf("reading the passphrase: %w", err))
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return "", unknown(fmt.Errorf("the passphrase in %s is empty", path))
	}
	return string(b), nil
}

func (a *app) secretsCommand() *cobra.Command {
	var f storeFlags
	var identity, passphrase, namespace, name string
	cmd := &cobra.Command{Use: "secrets SNAPSHOT", Short: "Decrypt the Secrets of a snapshot, as YAML for kubectl apply", Args: commandline.Arguments(1, 1),
		Long: `Decrypt the Secrets of a snapshot, as YAML for kubectl apply.

Exit codes: 0 done; 2 the command line is wrong; 3 the snapshot could not be read or decrypted.`}
	f.add(cmd)
	cmd.Flags().StringVar(&identity, "identity", "", "a file with age identities (AGE-SECRET-KEY-1...)")
	cmd.Flags().StringVar(&passphrase, "passphrase-file", "", "a file with the passphrase")
	cmd.Flags().StringVar(&namespace, "namespace", "", "only Secrets of this namespace")
	cmd.Flags().StringVar(&name, "name", "", "only the Secret of this name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (identity == "") == (passphrase == "") {
			return commandline.Usage(cmd, errors.New("one of --identity and --passphrase-file is wanted"))
		}
		who, err := identities(identity, passphrase)
		if err != nil {
			return err
		}
		store, err := a.store(args[0], &f)
		if err != nil {
			return commandline.Usage(cmd, err)
		}
		s, err := snapshot.Read(cmd.Context(), store)
		if err != nil {
			return unknown(err)
		}
		all, err := s.Values(cmd.Context(), who...)
		if err != nil {
			return unknown(err)
		}
		for _, o := range all {
			if namespace != "" && o.GetNamespace() != namespace || name != "" && o.GetName() != name {
				continue
			}
			o.SetUID("")
			o.SetResourceVersion("")
			o.SetOwnerReferences(nil)
			b, err := yaml.Marshal(o.Object)
			if err != nil {
				return err
			}
			a.printf("---\n%s", b)
		}
		return nil
	}
	return cmd
}

func identities(path, passphrase string) ([]age.Identity, error) {
	if passphrase != "" {
		secret, err := passphraseOf(passphrase)
		if err != nil {
			return nil, err
		}
		i, err := age.NewScryptIdentity(secret)
		return []age.Identity{i}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unknown(fmt.Errorf("reading the identities: %w", err))
	}
	defer func() { _ = f.Close() }() // it is only read
	all, err := age.ParseIdentities(f)
	if err != nil {
		return nil, unknown(fmt.Errorf("reading the identities of %s: %w", path, err))
	}
	return all, nil
}
