package sidecar

import (
	"fmt"
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// defaultUser is the user of sidecars when neither the pod nor a class names one: the one that Telegraf's image has for Telegraf.
const defaultUser = 999

const bufferDirectory = "/var/lib/holdfast"

// What the API server mounts into every container of a pod whose service account has a token.
const (
	tokenDirectory    = "/var/run/secrets/kubernetes.io/serviceaccount"
	tokenVolumePrefix = "kube-api-access-"
)

// build returns the container and the volumes that it needs added.
func (r *request) build(p *pod) (corev1.Container, []corev1.Volume, *refusal) {
	c := corev1.Container{
		Name:            r.container,
		Image:           r.spec.Image,
		ImagePullPolicy: r.spec.ImagePullPolicy,
		Env:             r.env(),
		EnvFrom:         r.spec.EnvFrom,
		Resources:       compact(r.spec.Resources, p),
		SecurityContext: r.securityContext(p),
		VolumeMounts:    []corev1.VolumeMount{{Name: configVolume(r.container), MountPath: ConfigDirectory, ReadOnly: true}},
	}
	volumes := []corev1.Volume{r.configVolume()}
	if r.spec.Mode == v1alpha1.ModeNative {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	c.Command = r.command()
	r.probes(&c)
	for _, v := range r.scrapeVolumes() {
		volumes = append(volumes, v.Volume)
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: v.mountPath, ReadOnly: true})
	}
	if r.spec.Agent == v1alpha1.AgentHoldfast {
		name, add := r.bufferVolume()
		if !add && !p.hasVolume(name) {
			return c, nil, refuse(PodConflict, "the pod has no volume %q to keep the buffer in", name)
		}
		if add {
			volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: bufferDirectory})
	}
	c.VolumeMounts = append(c.VolumeMounts, r.asked.Mounts...)
	mountToken(p, &c)
	return c, volumes, fits(p, c, volumes)
}

// mountToken mounts the service account's token as the API server would: it gives every container one, and would ask all webhooks a
// second time because of that.
func mountToken(p *pod, c *corev1.Container) {
	name := p.tokenVolume()
	if name == "" || slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == tokenDirectory }) {
		return
	}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, ReadOnly: true, MountPath: tokenDirectory})
}

// fits refuses what the API server would refuse the whole pod for.
func fits(p *pod, c corev1.Container, volumes []corev1.Volume) *refusal {
	for i, v := range volumes {
		if p.hasVolume(v.Name) || slices.ContainsFunc(volumes[:i], func(w corev1.Volume) bool { return w.Name == v.Name }) {
			return refuse(PodConflict, "the pod has a volume %q already, which is the name of one that the sidecar needs", v.Name)
		}
	}
	for i, m := range c.VolumeMounts {
		if !p.hasVolume(m.Name) && !slices.ContainsFunc(volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			return refuse(PodConflict, "the pod has no volume %q to mount at %s", m.Name, m.MountPath)
		}
		if slices.ContainsFunc(c.VolumeMounts[:i], func(n corev1.VolumeMount) bool { return path.Clean(n.MountPath) == path.Clean(m.MountPath) }) {
			return refuse(PodConflict, "two volumes would be mounted at %s", m.MountPath)
		}
	}
	return valid(p, c)
}

// compact leaves out what the pod has for all of its containers together, which a sidecar shares, and empty lists.
func compact(rr corev1.ResourceRequirements, p *pod) corev1.ResourceRequirements {
	shared := func(name corev1.ResourceName, _ resource.Quantity) bool { return p.shares(name) }
	maps.DeleteFunc(rr.Requests, shared)
	maps.DeleteFunc(rr.Limits, shared)
	if len(rr.Requests) == 0 {
		rr.Requests = nil
	}
	if len(rr.Limits) == 0 {
		rr.Limits = nil
	}
	return rr
}

// command starts the agent by itself, past the entry point of its image, which would look for a user to become.
func (r *request) command() []string {
	watch := r.spec.WatchConfig != v1alpha1.WatchOff
	if r.spec.Agent == v1alpha1.AgentHoldfast {
		listen := "127.0.0.1:0" // a port of its own: the pod may run something on any other
		if r.spec.HealthPort != 0 {
			listen = fmt.Sprintf(":%d", r.spec.HealthPort)
		}
		command := []string{"/holdfast", "run", "--config-directory", ConfigDirectory, "--data", bufferDirectory + "/" + r.container, "--listen", listen}
		if watch {
			command = append(command, "--watch-config", string(r.spec.WatchConfig))
		}
		return command
	}
	command := []string{"telegraf", "--config-directory", ConfigDirectory}
	if watch {
		// Telegraf's own notification loses changes of a mounted volume: it loads again when the kubelet's new folder appears, which may
		// be before that folder is in place, and the watch that it set up before takes the events that follow. See decision 80.
		command = append(command, "--watch-config", "poll")
	}
	return command
}

// env are the variables that every sidecar has, those of the classes and the annotations, and those that carry tags and credentials.
func (r *request) env() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
	}
	env := overlayEnv([]corev1.EnvVar{
		field("NODENAME", "spec.nodeName"),
		field("PODNAME", "metadata.name"),
		field("NAMESPACE", "metadata.namespace"),
	}, r.spec.Env)
	for _, t := range r.asked.Tags {
		if t.From != nil {
			env = append(env, corev1.EnvVar{Name: tagVariable(t.Name), ValueFrom: t.From})
		}
	}
	if s := r.asked.Scrape; s != nil && s.BasicAuthSecret != "" {
		for _, v := range [][2]string{{usernameVariable, "username"}, {passwordVariable, "password"}} {
			env = append(env, corev1.EnvVar{Name: v[0], ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: s.BasicAuthSecret}, Key: v[1]}}})
		}
	}
	return env
}

// securityContext meets the Pod Security Standard "restricted" unless the class or the pod says otherwise.
func (r *request) securityContext(p *pod) *corev1.SecurityContext {
	if r.spec.SecurityContext != nil {
		return r.spec.SecurityContext
	}
	if p.windows() {
		return nil // the API server refuses Linux's fields there
	}
	sc := &corev1.SecurityContext{
		RunAsNonRoot:             new(true),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if of := p.Spec.SecurityContext; of == nil || of.RunAsUser == nil || *of.RunAsUser == 0 {
		sc.RunAsUser = new(int64(defaultUser))
	}
	return sc
}

func (r *request) probes(c *corev1.Container) {
	if r.spec.HealthPort == 0 {
		return
	}
	at := "/"
	if r.spec.Agent == v1alpha1.AgentHoldfast {
		at = "/health"
	}
	ask := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: at, Port: intstr.FromInt32(r.spec.HealthPort)}}
	// A native sidecar's startup probe holds the pod's containers back, so it gives up soon; the liveness probe does the rest.
	c.StartupProbe = &corev1.Probe{ProbeHandler: ask, PeriodSeconds: 1, FailureThreshold: 30}
	c.LivenessProbe = &corev1.Probe{ProbeHandler: ask, PeriodSeconds: 10, FailureThreshold: 3}
}
