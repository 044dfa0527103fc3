package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"

	"github.com/holdfast-telemetry/holdfast/guard/protect"
	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

func init() { commands = append(commands, (*app).protectCommand) }

func (a *app) protectCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "protect", Short: "Refuse deletions in the cluster, and find what would not survive one"}
	cmd.AddCommand(a.generateCommand(), a.protectAuditCommand())
	return cmd
}

func (a *app) generateCommand() *cobra.Command {
	var o protect.Options
	var kinds []string
	cmd := &cobra.Command{Use: "generate", Short: "Print the admission policy, for kubectl apply", Args: commandline.Arguments(0, 0),
		Long: `Print a ValidatingAdmissionPolicy and its binding. They refuse the deletion of Namespaces, volumes, claims and StatefulSets, whoever asks for it.
A person approves one deletion by an annotation on the object, with a time within 24 hours:

  kubectl annotate ns/old ` + protect.Approval + `=2030-01-02T15:04:05Z

Kubernetes 1.30 or newer, and the leases of its API servers in kube-system, which are the policy's clock.`}
	cmd.Flags().StringSliceVar(&o.Namespaces, "namespace", nil, "only these namespaces, and the volumes of their claims; all but the system's without it")
	cmd.Flags().StringSliceVar(&kinds, "kind", nil, "more kinds, as resource.group: kafkas.kafka.strimzi.io")
	cmd.Flags().BoolVar(&o.Audit, "audit", false, "refuse nothing: warn, and write into the audit log")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, text := range kinds {
			k, err := protect.ParseKind(text)
			if err != nil {
				return commandline.Usage(cmd, err)
			}
			o.Kinds = append(o.Kinds, k)
		}
		b, err := protect.YAML(o)
		if err != nil {
			return commandline.Usage(cmd, err)
		}
		a.printf("%s", b)
		return nil
	}
	return cmd
}

func (a *app) protectAuditCommand() *cobra.Command {
	var kubeconfig string
	var asJSON bool
	cmd := &cobra.Command{Use: "audit", Short: "Find volumes, sets, classes and Applications that would not survive a deletion", Args: commandline.Arguments(0, 0),
		Long: `Find volumes, sets, classes and Applications that would not survive a deletion.

Exit codes: 0 nothing was found; 1 something was; 2 the command line is wrong; 3 the cluster could not be asked.`}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := clusterConfig(kubeconfig)
		if err != nil {
			return err
		}
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return err
		}
		all, err := protect.Audit(cmd.Context(), client)
		if err != nil {
			return unknown(err)
		}
		if asJSON {
			e := json.NewEncoder(a.Out)
			e.SetIndent("", "  ")
			if err := e.Encode(all); err != nil {
				return err
			}
		} else {
			for _, f := range all {
				a.printf("%s\n", f)
			}
		}
		if len(all) > 0 {
			return &exitError{code: ExitFailed}
		}
		return nil
	}
	return cmd
}
