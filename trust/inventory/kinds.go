package inventory

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Each of these reads one page of a kind, and returns where the next one begins.

// namespaces finds those whose pods are admitted unseen: those that the webhook of policy-controller is not for.
func (r *reading) namespaces(ctx context.Context, o metav1.ListOptions) (string, error) {
	if r.seen == nil {
		var err error
		if r.seen, err = r.selector(ctx); err != nil {
			return "", err
		}
	}
	list, err := r.client.CoreV1().Namespaces().List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the namespaces: %w", err)
	}
	for _, item := range list.Items {
		r.exempt[item.Name] = !r.seen.Matches(labels.Set(item.Labels))
	}
	return list.Continue, nil
}

// selector is that of the namespaces whose pods policy-controller looks at. Without policy-controller it is the one that it is to have.
func (r *reading) selector(ctx context.Context) (labels.Selector, error) {
	selector := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: ExemptLabel, Operator: metav1.LabelSelectorOpDoesNotExist}}}
	c, err := r.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, webhook, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading which namespaces policy-controller looks at: %w", err)
	}
	if err == nil {
		for _, w := range c.Webhooks {
			if w.Name == webhook && w.NamespaceSelector != nil {
				selector = w.NamespaceSelector
			}
		}
	}
	seen, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("which namespaces policy-controller looks at: %w", err)
	}
	return seen, nil
}

// webhook is the name of policy-controller's, and of its configuration.
const webhook = "policy.sigstore.dev"

func (r *reading) pods(ctx context.Context, o metav1.ListOptions) (string, error) {
	o.FieldSelector = "status.phase!=Succeeded,status.phase!=Failed"
	list, err := r.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the pods: %w", err)
	}
	for i := range list.Items {
		item := &list.Items[i]
		r.add(item, "", &item.Spec)
	}
	return list.Continue, nil
}

func (r *reading) deployments(ctx context.Context, o metav1.ListOptions) (string, error) {
	list, err := r.client.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the Deployments: %w", err)
	}
	for i := range list.Items {
		item := &list.Items[i]
		r.add(item, "Deployment", &item.Spec.Template.Spec)
	}
	return list.Continue, nil
}

func (r *reading) statefulSets(ctx context.Context, o metav1.ListOptions) (string, error) {
	list, err := r.client.AppsV1().StatefulSets(metav1.NamespaceAll).List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the StatefulSets: %w", err)
	}
	for i := range list.Items {
		item := &list.Items[i]
		r.add(item, "StatefulSet", &item.Spec.Template.Spec)
	}
	return list.Continue, nil
}

func (r *reading) daemonSets(ctx context.Context, o metav1.ListOptions) (string, error) {
	list, err := r.client.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the DaemonSets: %w", err)
	}
	for i := range list.Items {
		item := &list.Items[i]
		r.add(item, "DaemonSet", &item.Spec.Template.Spec)
	}
	return list.Continue, nil
}

func (r *reading) cronJobs(ctx context.Context, o metav1.ListOptions) (string, error) {
	list, err := r.client.BatchV1().CronJobs(metav1.NamespaceAll).List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the CronJobs: %w", err)
	}
	for i := range list.Items {
		item := &list.Items[i]
		r.add(item, "CronJob", &item.Spec.JobTemplate.Spec.Template.Spec)
	}
	return list.Continue, nil
}

// jobs are those that have not ended.
func (r *reading) jobs(ctx context.Context, o metav1.ListOptions) (string, error) {
	list, err := r.client.BatchV1().Jobs(metav1.NamespaceAll).List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the Jobs: %w", err)
	}
	for i := range list.Items {
		if item := &list.Items[i]; !ended(item) {
			r.add(item, "Job", &item.Spec.Template.Spec)
		}
	}
	return list.Continue, nil
}

func ended(j *batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
