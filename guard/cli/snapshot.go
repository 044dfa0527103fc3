package cli

import (
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
)

func init() { commands = append(commands, (*app).snapshotCommand) }

func (a *app) snapshotCommand() *cobra.Command {
	var kubeconfig, passphrase string
	var recipients []string
	var values bool
	var keep int
	cmd := &cobra.Command{Use: "snapshot FOLDER", Short: "Export what a recovery needs", Args: arguments(1, 1),
		Long: `Export what a recovery needs into a new folder inside FOLDER: volumes with their disks, claims, sets, classes, attachments, namespaces, Argo
CD's objects, and the names and keys of Secrets. Values of Secrets are in it only with --include-secret-values, encrypted for age
recipients or with a passphrase. Run it from a CronJob, and keep FOLDER off the cluster.`}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.Flags().IntVar(&keep, "keep", 0, "how many snapshots stay; 0 keeps all")
	cmd.Flags().BoolVar(&values, "include-secret-values", false, "encrypt the values of Secrets into the snapshot")
	cmd.Flags().StringSliceVar(&recipients, "recipient", nil, "who may read them: age1...")
	cmd.Flags().StringVar(&passphrase, "passphrase-file", "", "a file with the passphrase that they are encrypted with, instead of recipients")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if keep < 0 || values != (len(recipients) > 0 || passphrase != "") {
			return &usageError{cmd, errors.New("--include-secret-values goes with --recipient or --passphrase-file, and --keep is not negative")}
		}
		who, err := readers(recipients, passphrase)
		if err != nil {
			return err
		}
		config, err := clusterConfig(kubeconfig)
		if err != nil {
			return err
		}
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return err
		}
		path, err := snapshot.Take(cmd.Context(), client, args[0], snapshot.Options{Recipients: who, Keep: keep})
		if path != "" {
			a.printf("%s\n", path)
		}
		return err
	}
	cmd.AddCommand(a.secretsCommand())
	return cmd
}

// readers are those who may decrypt values.
func readers(recipients []string, passphrase string) (all []age.Recipient, err error) {
	for _, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("--recipient %s: %w", text, err)
		}
		all = append(all, r)
	}
	if passphrase == "" {
		return all, nil
	}
	if len(recipients) > 0 {
		return nil, errors.New("a snapshot is encrypted for recipients or with a passphrase, not both")
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
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return "", fmt.Errorf("the passphrase in %s is empty", path)
	}
	return string(b), nil
}

func (a *app) secretsCommand() *cobra.Command {
	var identity, passphrase, namespace, name string
	cmd := &cobra.Command{Use: "secrets SNAPSHOT", Short: "Decrypt the Secrets of a snapshot, as YAML for kubectl apply", Args: arguments(1, 1)}
	cmd.Flags().StringVar(&identity, "identity", "", "a file with age identities (AGE-SECRET-KEY-1...)")
	cmd.Flags().StringVar(&passphrase, "passphrase-file", "", "a file with the passphrase")
	cmd.Flags().StringVar(&namespace, "namespace", "", "only Secrets of this namespace")
	cmd.Flags().StringVar(&name, "name", "", "only the Secret of this name")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (identity == "") == (passphrase == "") {
			return &usageError{cmd, errors.New("one of --identity and --passphrase-file is wanted")}
		}
		who, err := identities(identity, passphrase)
		if err != nil {
			return err
		}
		s, err := snapshot.Read(args[0])
		if err != nil {
			return unknown(err)
		}
		all, err := s.Values(who...)
		if err != nil {
			return err
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
		return nil, fmt.Errorf("reading the identities: %w", err)
	}
	defer func() { _ = f.Close() }() // it is only read
	all, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("reading the identities of %s: %w", path, err)
	}
	return all, nil
}
