// Package inventory says which images run in a cluster, by their digests.
//
// It looks at what pods ask for, which policy-controller has pinned to digests, and not at what a node reports to have pulled: a node names
// an image's digest by whatever repository it pulled it from first.
package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// page is how many pods are read at once.
const page = 500

// Image is one that runs.
type Image struct {
	// Reference is HOST/PATH@sha256:HEX, without shorthands.
	Reference string
	// Pods is how many pods ask for it, and First names one, as NAMESPACE/NAME.
	Pods  int
	First string
}

// Deployed are the images of a cluster.
type Deployed struct {
	Images []Image // in the order of their references
	// Unpinned are images that a pod names without a digest: nothing can be said of them. Each with a pod, as "IMAGE (NAMESPACE/NAME)".
	Unpinned []string
}

// Read lists the images of all pods that have not ended.
func Read(ctx context.Context, client kubernetes.Interface) (*Deployed, error) {
	found, unpinned := map[string]*Image{}, map[string]string{}
	options := metav1.ListOptions{Limit: page, FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"}
	for {
		list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("listing the pods: %w", err)
		}
		for i := range list.Items {
			p := &list.Items[i]
			for _, image := range images(p) {
				add(found, unpinned, image, p.Namespace+"/"+p.Name)
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	d := &Deployed{}
	for _, i := range found {
		d.Images = append(d.Images, *i)
	}
	slices.SortFunc(d.Images, func(a, b Image) int { return strings.Compare(a.Reference, b.Reference) })
	for image, pod := range unpinned {
		d.Unpinned = append(d.Unpinned, fmt.Sprintf("%s (%s)", image, pod))
	}
	slices.Sort(d.Unpinned)
	return d, nil
}

// images are those of a pod's containers of all kinds, each once.
func images(p *corev1.Pod) (all []string) {
	for _, c := range p.Spec.InitContainers {
		all = append(all, c.Image)
	}
	for _, c := range p.Spec.Containers {
		all = append(all, c.Image)
	}
	for _, c := range p.Spec.EphemeralContainers {
		all = append(all, c.Image)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func add(found map[string]*Image, unpinned map[string]string, image, pod string) {
	digest, err := name.NewDigest(image)
	if err != nil {
		unpinned[image] = pod
		return
	}
	reference := digest.Name()
	if found[reference] == nil {
		found[reference] = &Image{Reference: reference, First: pod}
	}
	found[reference].Pods++
}
