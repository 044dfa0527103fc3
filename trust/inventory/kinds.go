package inventory

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Each of these reads one page of a kind, and returns where the next one begins.

func (r *reading) namespaces(ctx context.Context, o metav1.ListOptions) (string, error) {
	o.LabelSelector = ExemptLabel
	list, err := r.client.CoreV1().Namespaces().List(ctx, o)
	if err != nil {
		return "", fmt.Errorf("listing the namespaces: %w", err)
	}
	for _, item := range list.Items {
		r.exempt[item.Name] = true
	}
	return list.Continue, nil
}

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
