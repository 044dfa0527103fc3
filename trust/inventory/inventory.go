// Package inventory says which images a cluster runs, or would run again, by their digests.
//
// It looks at what pods and the templates of pods ask for, which policy-controller has pinned to digests, and not at what a node reports to
// have pulled: a node names an image's digest by whatever repository it pulled it from first.
package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// page is how many objects are read at once.
const page = 500

// ExemptLabel on a namespace, with any value, has policy-controller admit its pods unseen, as it is to be installed.
const ExemptLabel = "policy.sigstore.dev/exclude"

// Image is one that runs, or would.
type Image struct {
	// Reference is HOST/PATH@sha256:HEX, without shorthands.
	Reference string
	// Pods is how many pods ask for it, and First names one, as NAMESPACE/NAME, or else what would make one, with its kind.
	Pods  int
	First string
	// Exempt says that only namespaces ask for it whose pods are admitted unseen.
	Exempt bool
}

// Deployed are the images of a cluster.
type Deployed struct {
	Images []Image // in the order of their references
	// Unpinned are images that a pod names without a digest: nothing can be said of them. Each with a pod, as "IMAGE (NAMESPACE/NAME)". Those
	// of namespaces whose pods are admitted unseen are left out.
	Unpinned []string
}

// Read lists the images of all pods that have not ended, and of what makes pods: a CronJob has none most of the time.
func Read(ctx context.Context, client kubernetes.Interface) (*Deployed, error) {
	r := &reading{client: client, exempt: map[string]bool{}, found: map[string]*Image{}, unpinned: map[string]string{}}
	for _, list := range []func(context.Context, metav1.ListOptions) (string, error){r.namespaces, r.pods, r.deployments, r.statefulSets, r.daemonSets, r.cronJobs, r.jobs} {
		options := metav1.ListOptions{Limit: page}
		for {
			next, err := list(ctx, options)
			if err != nil {
				return nil, err
			}
			if options.Continue = next; next == "" {
				break
			}
		}
	}
	d := &Deployed{}
	for _, i := range r.found {
		d.Images = append(d.Images, *i)
	}
	slices.SortFunc(d.Images, func(a, b Image) int { return strings.Compare(a.Reference, b.Reference) })
	for image, pod := range r.unpinned {
		d.Unpinned = append(d.Unpinned, fmt.Sprintf("%s (%s)", image, pod))
	}
	slices.Sort(d.Unpinned)
	return d, nil
}

// reading is what has been read of a cluster.
type reading struct {
	client   kubernetes.Interface
	seen     labels.Selector // of namespaces that policy-controller looks at
	exempt   map[string]bool // namespaces that it does not
	found    map[string]*Image
	unpinned map[string]string
}

// images are those of the containers of all kinds, each once.
func images(p *corev1.PodSpec) (all []string) {
	for _, c := range p.InitContainers {
		all = append(all, c.Image)
	}
	for _, c := range p.Containers {
		all = append(all, c.Image)
	}
	for _, c := range p.EphemeralContainers {
		all = append(all, c.Image)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// add adds the images of a pod, or of a template of pods, which has a kind.
func (r *reading) add(of metav1.Object, kind string, spec *corev1.PodSpec) {
	exempt, by := r.exempt[of.GetNamespace()], of.GetNamespace()+"/"+of.GetName()
	if kind != "" {
		by += " (" + kind + ")"
	}
	for _, image := range images(spec) {
		digest, err := name.NewDigest(image)
		if err != nil {
			if !exempt {
				r.unpinned[image] = by
			}
			continue
		}
		reference := digest.Name()
		i := r.found[reference]
		if i == nil {
			i = &Image{Reference: reference, First: by, Exempt: true}
			r.found[reference] = i
		}
		if i.Exempt && !exempt {
			i.Exempt, i.First = false, by
		}
		if kind == "" {
			i.Pods++
		}
	}
}
