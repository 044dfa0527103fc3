package kube

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// File is one file of a volume.
type File struct {
	Data []byte
	Mode fs.FileMode
}

// Materialise makes dir into what a container sees where it mounts a volume of pod: the folder is made if need be and filled from
// the objects that the API server has now, as VolumeFiles and WriteVolume say. Called again it does what a kubelet does when it
// looks again. The downward API's part comes from pod, which the caller reads anew when that has changed. An error leaves dir as
// it was, as the kubelet leaves a volume whose object has gone.
//
// An emptyDir is an empty folder that keeps what was put there.
func (c *Cluster) Materialise(ctx context.Context, pod *corev1.Pod, volume, dir string) error {
	v, err := findVolume(pod, volume)
	if err != nil {
		return err
	}
	if v.EmptyDir != nil {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("making volume %s: %w", volume, err)
		}
		return nil
	}
	files, err := VolumeFiles(ctx, c.client, pod, volume)
	if err != nil {
		return err
	}
	return WriteVolume(dir, files)
}

// VolumeFiles returns the files of one volume of a pod by their paths inside it, read through client: a Secret's, a ConfigMap's,
// the downward API's, or all those together and tokens of the service account for a projected one, whose later sources win. It
// fails as the kubelet does: for an object or a key that is missing and not optional.
func VolumeFiles(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, volume string) (map[string]File, error) {
	v, err := findVolume(pod, volume)
	if err != nil {
		return nil, err
	}
	files, err := reader{client: client, pod: pod}.volume(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("volume %s of pod %s/%s: %w", volume, pod.Namespace, pod.Name, err)
	}
	return files, nil
}

func findVolume(pod *corev1.Pod, name string) (*corev1.Volume, error) {
	for i, v := range pod.Spec.Volumes {
		if v.Name == name {
			return &pod.Spec.Volumes[i], nil
		}
	}
	return nil, fmt.Errorf("pod %s/%s has no volume %q", pod.Namespace, pod.Name, name)
}

// reader reads the sources of one pod's volumes.
type reader struct {
	client kubernetes.Interface
	pod    *corev1.Pod
}

func (r reader) volume(ctx context.Context, v *corev1.Volume) (map[string]File, error) {
	switch {
	case v.Secret != nil:
		return r.secret(ctx, v.Secret.SecretName, v.Secret.Items, v.Secret.DefaultMode, v.Secret.Optional)
	case v.ConfigMap != nil:
		return r.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.DefaultMode, v.ConfigMap.Optional)
	case v.DownwardAPI != nil:
		return downward(r.pod, v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		return r.projected(ctx, v.Projected)
	}
	return nil, errors.New("not a kind of volume that can be made here")
}

func (r reader) projected(ctx context.Context, v *corev1.ProjectedVolumeSource) (map[string]File, error) {
	files := map[string]File{}
	var errs []error
	for _, s := range v.Sources {
		part, err := r.projection(ctx, s, v.DefaultMode)
		errs = append(errs, err)
		maps.Copy(files, part)
	}
	return files, errors.Join(errs...)
}

func (r reader) projection(ctx context.Context, s corev1.VolumeProjection, mode *int32) (map[string]File, error) {
	switch {
	case s.Secret != nil:
		return r.secret(ctx, s.Secret.Name, s.Secret.Items, mode, s.Secret.Optional)
	case s.ConfigMap != nil:
		return r.configMap(ctx, s.ConfigMap.Name, s.ConfigMap.Items, mode, s.ConfigMap.Optional)
	case s.DownwardAPI != nil:
		return downward(r.pod, s.DownwardAPI.Items, mode)
	case s.ServiceAccountToken != nil:
		return r.token(ctx, s.ServiceAccountToken, mode)
	}
	return nil, errors.New("not a source that can be projected here")
}

func (r reader) secret(ctx context.Context, name string, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]File, error) {
	s, err := r.client.CoreV1().Secrets(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if may(optional) && apierrors.IsNotFound(err) {
		s, err = &corev1.Secret{}, nil
	}
	if err != nil {
		return nil, err
	}
	return pick("secret "+name, s.Data, items, mode, optional)
}

func (r reader) configMap(ctx context.Context, name string, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]File, error) {
	m, err := r.client.CoreV1().ConfigMaps(r.pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if may(optional) && apierrors.IsNotFound(err) {
		m, err = &corev1.ConfigMap{}, nil
	}
	if err != nil {
		return nil, err
	}
	data := maps.Clone(m.BinaryData)
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	return pick("configmap "+name, data, items, mode, optional)
}

// token asks for a token as the kubelet does: bound to the pod, which therefore must exist.
func (r reader) token(ctx context.Context, p *corev1.ServiceAccountTokenProjection, mode *int32) (map[string]File, error) {
	spec := authenticationv1.TokenRequestSpec{
		ExpirationSeconds: p.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: r.pod.Name, UID: r.pod.UID},
	}
	if p.Audience != "" {
		spec.Audiences = []string{p.Audience}
	}
	token, err := r.client.CoreV1().ServiceAccounts(r.pod.Namespace).CreateToken(ctx, r.pod.Spec.ServiceAccountName,
		&authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a token: %w", err)
	}
	return map[string]File{p.Path: {Data: []byte(token.Status.Token), Mode: fileMode(nil, mode)}}, nil
}

// pick returns the keys that items name under the paths that they give them, or all keys when there are no items.
func pick(object string, data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional *bool) (map[string]File, error) {
	files := map[string]File{}
	if len(items) == 0 {
		for key, value := range data {
			files[key] = File{Data: value, Mode: fileMode(nil, mode)}
		}
		return files, nil
	}
	for _, i := range items {
		value, ok := data[i.Key]
		switch {
		case ok:
			files[i.Path] = File{Data: value, Mode: fileMode(i.Mode, mode)}
		case !may(optional):
			return nil, fmt.Errorf("%s has no key %q", object, i.Key)
		}
	}
	return files, nil
}

func may(optional *bool) bool { return optional != nil && *optional }

// fileMode is a file's own mode, or its volume's, or the API's default.
func fileMode(own, volume *int32) fs.FileMode {
	for _, m := range []*int32{own, volume} {
		if m != nil {
			return fs.FileMode(*m)
		}
	}
	return 0o644
}
