package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// choice is the volume that a claim is to be bound to; nil while nobody has said it.
func (r *Run) choice(s *Step) *Candidate {
	if s.Claim == nil {
		return nil
	}
	if s.Question == "" {
		return &s.Claim.Volumes[0]
	}
	q := r.Plan.Question(s.Question)
	for i, v := range s.Claim.Volumes {
		if v.Volume == q.Answer {
			return &s.Claim.Volumes[i]
		}
	}
	return nil
}

// binding is what is live of a claim and its volume.
type binding struct {
	volume *corev1.PersistentVolume
	claim  *corev1.PersistentVolumeClaim
}

func (r *Run) binding(ctx context.Context, c *Claim, volume string) (b binding, err error) {
	pv, err := r.Cluster.find(ctx, volumeRef(volume))
	if err == nil && pv != nil {
		b.volume, err = typed[corev1.PersistentVolume](pv)
	}
	if err != nil {
		return b, err
	}
	claim, err := r.Cluster.find(ctx, claimRef(c.Namespace, c.Name))
	if err == nil && claim != nil {
		b.claim, err = typed[corev1.PersistentVolumeClaim](claim)
	}
	return b, err
}

// What there is to do about a claim, in this order.
const (
	doReserve = "reserve the volume for the claim"
	doClaim   = "make the claim"
)

// lookRebind tells how far the binding of a claim is. Whatever is not as the plan says is a person's.
func (r *Run) lookRebind(ctx context.Context, s *Step) (observation, error) {
	v := r.choice(s)
	if v == nil {
		return stop("nobody has said which volume it is"), nil
	}
	b, err := r.binding(ctx, s.Claim, v.Volume)
	if err != nil {
		return observation{}, err
	}
	if o := b.disk(v); o.state != done {
		return o, nil
	}
	if b.claim != nil {
		return b.lookClaim(s.Claim, v), nil
	}
	return b.lookVolume(s.Claim, v), nil
}

// disk tells whether the volume is the disk of the plan.
func (b binding) disk(v *Candidate) observation {
	switch {
	case b.volume == nil:
		return stop("the volume %s is not there", v.Volume)
	case handle(b.volume) != v.Handle:
		return stop("the volume %s is the disk %s, and was %s when the plan was made", v.Volume, handle(b.volume), v.Handle)
	case b.volume.DeletionTimestamp != nil:
		return stop("the volume %s is being deleted, and its disk is %s", v.Volume, v.Handle)
	}
	return observation{}
}

// lookVolume is for a claim that is not there.
func (b binding) lookVolume(c *Claim, v *Candidate) observation {
	ref := b.volume.Spec.ClaimRef
	switch {
	case ref == nil:
		return act(doReserve)
	case ref.Namespace != c.Namespace || ref.Name != c.Name:
		return stop("the volume %s is claimed by %s/%s now", v.Volume, ref.Namespace, ref.Name)
	case ref.UID != "" && string(ref.UID) != v.ClaimUID:
		return stop("the volume %s was bound to another claim of this name since the plan was made, with the UID %s", v.Volume, ref.UID)
	case ref.UID != "" || b.volume.Annotations[boundByController] != "" || b.volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain:
		return act(doReserve)
	case b.volume.Status.Phase != corev1.VolumeAvailable:
		// Only then the volume controller knows that the volume is nobody's.
		return wait("the volume is %s, and not Available yet", b.volume.Status.Phase)
	}
	return act(doClaim)
}

// lookClaim is for one that is there. It is never changed.
func (b binding) lookClaim(c *Claim, v *Candidate) observation {
	claim, ref := b.claim, b.volume.Spec.ClaimRef
	switch {
	case claim.DeletionTimestamp != nil:
		return wait("a claim of that name is being deleted; pods that use it keep it")
	case claim.Spec.VolumeName == "":
		return stop("there is a claim of that name already, %s and without a volume: look whose it is; it would get an empty volume", claim.Status.Phase)
	case claim.Spec.VolumeName != v.Volume:
		return stop("the claim is %s with the volume %s, and not with %s", claim.Status.Phase, claim.Spec.VolumeName, v.Volume)
	case claim.Status.Phase == corev1.ClaimLost:
		return stop("the claim is Lost: a person has to remove it, which leaves the volume as it is")
	case ref == nil || ref.Namespace != c.Namespace || ref.Name != c.Name:
		return stop("the volume %s is not the claim's", v.Volume)
	case ref.UID != claim.UID && ref.UID != "" && string(ref.UID) == v.ClaimUID:
		return act(doReserve)
	case ref.UID != claim.UID && ref.UID != "":
		return stop("the volume %s has the claim UID %s, and the claim is %s", v.Volume, ref.UID, claim.UID)
	case claim.Status.Phase != corev1.ClaimBound || b.volume.Status.Phase != corev1.VolumeBound || ref.UID != claim.UID:
		return wait("the claim is %s and the volume %s", claim.Status.Phase, b.volume.Status.Phase)
	}
	has, want := claim.Status.Capacity[corev1.ResourceStorage], b.volume.Spec.Capacity[corev1.ResourceStorage]
	if has.Cmp(want) != 0 {
		return wait("the claim has %s of %s", has.String(), want.String())
	}
	return observation{}
}

// bind does the next thing about a claim. Each is refused by the API server when the volume or the claim has changed since.
func (r *Run) bind(ctx context.Context, s *Step, o observation) error {
	v := r.choice(s)
	if o.why == doClaim {
		_, err := r.Cluster.create(ctx, s.Claim.object(*v, r.id))
		return err
	}
	b, err := r.binding(ctx, s.Claim, v.Volume)
	if err != nil {
		return err
	}
	if b.volume == nil || b.disk(v).state != done {
		return fmt.Errorf("the volume %s has changed meanwhile", v.Volume)
	}
	_, err = r.Cluster.patch(ctx, volumeRef(v.Volume), types.JSONPatchType, reservation(b.volume, s.Claim.Namespace, s.Claim.Name))
	if apierrors.IsInvalid(err) { // so the API server calls a test of the patch that did not hold: look again
		return apierrors.NewConflict(schema.GroupResource{Resource: "persistentvolumes"}, v.Volume, err)
	}
	return err
}

func (r *Run) lookRecreate(ctx context.Context, s *Step) (observation, error) {
	o, err := r.Cluster.find(ctx, volumeRef(s.Volume))
	if err != nil {
		return observation{}, err
	}
	if o == nil {
		return act("make the volume's object"), nil
	}
	live, err := typed[corev1.PersistentVolume](o)
	if err != nil {
		return observation{}, err
	}
	planned, err := typed[corev1.PersistentVolume](s.volume())
	if err != nil {
		return observation{}, err
	}
	if handle(live) != handle(planned) {
		return stop("there is a volume %s with another disk: %s", s.Volume, handle(live)), nil
	}
	return observation{}, nil
}

func (s *Step) volume() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolume", "metadata": map[string]any{"name": s.Volume}, "spec": s.Spec,
	}}
}

// unreachable tells whether the API server could not be asked.
func unreachable(err error) bool {
	var timeout net.Error
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &timeout) && timeout.Timeout()
}
