package kube

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// downward returns the files of the downward API.
func downward(pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode *int32) (map[string]File, error) {
	files := map[string]File{}
	var errs []error
	for _, i := range items {
		var value string
		var err error
		switch {
		case i.FieldRef != nil:
			value, err = field(pod, i.FieldRef.FieldPath)
		case i.ResourceFieldRef != nil:
			value, err = containerResource(pod, i.ResourceFieldRef)
		}
		errs = append(errs, err)
		files[path.Clean(i.Path)] = File{Data: []byte(value), Mode: fileMode(i.Mode, mode)}
	}
	return files, errors.Join(errs...)
}

// field returns a pod's metadata by a field path. Only these can be had as files; the rest only as environment variables.
func field(pod *corev1.Pod, fieldPath string) (string, error) {
	switch fieldPath {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return formatMap(pod.Labels), nil
	case "metadata.annotations":
		return formatMap(pod.Annotations), nil
	}
	if name, key, ok := strings.Cut(strings.TrimSuffix(fieldPath, "']"), "['"); ok && strings.HasSuffix(fieldPath, "']") {
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	return "", fmt.Errorf("unsupported fieldPath: %s", fieldPath)
}

// formatMap writes key="value" lines in the order of the keys, the values quoted as in Go, without a final line break.
func formatMap(m map[string]string) string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(lines, "\n")
}

// containerResource returns a container's limit or request in units of the divisor, rounded up. A limit that is not set is the
// node's capacity, as StartKwok makes nodes.
func containerResource(pod *corev1.Pod, ref *corev1.ResourceFieldSelector) (string, error) {
	all := slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers)
	at := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == ref.ContainerName })
	if at < 0 {
		return "", fmt.Errorf("container %s not found", ref.ContainerName)
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	var q resource.Quantity
	switch kind {
	case "limits":
		limit, ok := all[at].Resources.Limits[corev1.ResourceName(name)]
		if !ok {
			limit = capacity[corev1.ResourceName(name)]
		}
		q = limit
	case "requests":
		q = all[at].Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("unsupported container resource: %s", ref.Resource)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	units := float64(q.Value()) / float64(divisor.Value())
	if name == string(corev1.ResourceCPU) {
		units = float64(q.MilliValue()) / float64(divisor.MilliValue())
	}
	return strconv.FormatInt(int64(math.Ceil(units)), 10), nil
}
