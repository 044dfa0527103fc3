package sidecar

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// configVolume is the name of the volume with a sidecar's configuration, the same as telegraf-operator's for the sidecars it has.
func configVolume(container string) string {
	switch container {
	case ContainerName:
		return "telegraf-config"
	case IstioName:
		return "telegraf-istio-config"
	}
	return "telegraf-config-" + container[len(ContainerName)+1:]
}

// configVolume has the classes' texts and the pod's own part in one folder. The object with the texts may be missing, and keys of it: the pod starts
// all the same, and the kubelet adds the files when they are there.
func (r *request) configVolume() corev1.Volume {
	annotationFile := func(key, path string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: path, FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['" + key + "']"}}
	}
	own := []corev1.DownwardAPIVolumeFile{annotationFile(ConfigAnnotation(r.container), generatedFile)}
	if r.asked.Inputs != "" {
		own = append(own, annotationFile(InputsAnnotation(r.container), inputsFile))
	}
	var classes []corev1.KeyToPath
	for i, c := range r.classes {
		classes = append(classes, corev1.KeyToPath{Key: class.FileName(c.Name), Path: classFile(i, c.Name)})
	}
	return corev1.Volume{Name: configVolume(r.container), VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: own}},
			r.classesIn.projection(classes),
		},
	}}}
}

// projection has files of the object.
func (o ClassesObject) projection(files []corev1.KeyToPath) corev1.VolumeProjection {
	name := corev1.LocalObjectReference{Name: ClassesName}
	if o == InConfigMap {
		return corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: name, Items: files, Optional: new(true)}}
	}
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: name, Items: files, Optional: new(true)}}
}

// mountedVolume is a volume and where the sidecar has it.
type mountedVolume struct {
	corev1.Volume
	mountPath string
}

// scrapeVolumes hold the credentials that are files.
func (r *request) scrapeVolumes() (volumes []mountedVolume) {
	s := r.asked.Scrape
	if s == nil {
		return nil
	}
	add := func(kind, secret, path string, items ...corev1.KeyToPath) {
		volumes = append(volumes, mountedVolume{corev1.Volume{Name: r.container + "-scrape-" + kind, VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: secret, Items: items}}}, path})
	}
	if s.BearerTokenSecret != "" {
		add("bearer", s.BearerTokenSecret, bearerDirectory, corev1.KeyToPath{Key: s.BearerTokenKey, Path: "token"})
	}
	if s.TLSSecret != "" && s.Scheme == "https" {
		add("tls", s.TLSSecret, tlsDirectory)
	}
	return volumes
}

// bufferVolume is the volume that the agent holdfast keeps its journal in, and whether it is one to add.
func (r *request) bufferVolume() (name string, add bool) {
	if b := r.spec.Buffer; b != nil && b.Volume != "" {
		return b.Volume, false
	}
	return r.container + "-buffer", true
}
