package sidecar

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
)

// valid refuses a container that the API server would refuse, and the whole pod with it: a class can ask for one, and so can a pod in its
// annotations. It follows the validation of Kubernetes for the fields that those can set.
func valid(p *pod, c corev1.Container) *refusal {
	if c.Image != strings.TrimSpace(c.Image) {
		return refuse(InvalidSidecar, "the image %q has blanks around it", c.Image)
	}
	for _, check := range []func() error{
		func() error { return validEnv(c.Env) },
		func() error { return validEnvFrom(c.EnvFrom) },
		func() error { return validResources(c.Resources) },
		func() error { return validSecurityContext(p, c.SecurityContext) },
	} {
		if err := check(); err != nil {
			return refuse(InvalidSidecar, "%v", err)
		}
	}
	return nil
}

func validEnv(env []corev1.EnvVar) error {
	for _, e := range env {
		if len(validation.IsEnvVarName(e.Name)) > 0 {
			return fmt.Errorf("%q is not the name of a variable", e.Name)
		}
		if e.ValueFrom == nil {
			continue
		}
		if e.Value != "" {
			return fmt.Errorf("the variable %s has both a value and valueFrom", e.Name)
		}
		if err := validSource(e.ValueFrom); err != nil {
			return fmt.Errorf("the variable %s: %w", e.Name, err)
		}
	}
	return nil
}

// containerResources are what a resourceFieldRef can name of a container.
var containerResources = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}

func validSource(s *corev1.EnvVarSource) error {
	sources := 0
	if s.FieldRef != nil {
		sources++
		if err := annotation.ValidField(s.FieldRef.FieldPath); err != nil {
			return fmt.Errorf("fieldRef: %w", err)
		}
		if v := s.FieldRef.APIVersion; v != "" && v != "v1" {
			return fmt.Errorf("fieldRef has the apiVersion %q; it is v1", v)
		}
	}
	if r := s.ResourceFieldRef; r != nil {
		sources++
		if !slices.Contains(containerResources, r.Resource) {
			return fmt.Errorf("resourceFieldRef names %q, which is none of %s", r.Resource, strings.Join(containerResources, ", "))
		}
		if err := validDivisor(r); err != nil {
			return err
		}
	}
	if r := s.ConfigMapKeyRef; r != nil {
		sources++
		if err := validKey("ConfigMap", r.Name, r.Key); err != nil {
			return err
		}
	}
	if r := s.SecretKeyRef; r != nil {
		sources++
		if err := validKey("Secret", r.Name, r.Key); err != nil {
			return err
		}
	}
	if sources != 1 {
		return fmt.Errorf("valueFrom has %d sources of those that a sidecar can have: give one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef", sources)
	}
	return nil
}

// byteDivisors and cpuDivisors are the units that an amount can be given in.
var (
	byteDivisors = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	cpuDivisors  = []string{"1m", "1"}
)

// validDivisor takes a unit, or none.
func validDivisor(r *corev1.ResourceFieldSelector) error {
	units := byteDivisors
	if strings.HasSuffix(r.Resource, ".cpu") {
		units = cpuDivisors
	}
	if r.Divisor.IsZero() || slices.ContainsFunc(units, func(unit string) bool { return r.Divisor.Cmp(resource.MustParse(unit)) == 0 }) {
		return nil
	}
	return fmt.Errorf("resourceFieldRef of %s has the divisor %s, which is none of %s", r.Resource, r.Divisor.String(), strings.Join(units, ", "))
}

func validKey(kind, name, key string) error {
	if err := validObject(kind, name); err != nil {
		return err
	}
	if len(validation.IsConfigMapKey(key)) > 0 {
		return fmt.Errorf("%q is not a key of a %s", key, kind)
	}
	return nil
}

func validObject(kind, name string) error {
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("%q is not the name of a %s", name, kind)
	}
	return nil
}

func validEnvFrom(from []corev1.EnvFromSource) error {
	for _, f := range from {
		if f.Prefix != "" && len(validation.IsEnvVarName(f.Prefix)) > 0 {
			return fmt.Errorf("envFrom has the prefix %q, which cannot begin the name of a variable", f.Prefix)
		}
		var err error
		switch {
		case (f.ConfigMapRef == nil) == (f.SecretRef == nil):
			err = fmt.Errorf("envFrom names a ConfigMap or a Secret, one in each element")
		case f.ConfigMapRef != nil:
			err = validObject("ConfigMap", f.ConfigMapRef.Name)
		default:
			err = validObject("Secret", f.SecretRef.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// validResources takes the resources of a container that can be had in parts. Others, such as devices and huge pages, have rules that a
// sidecar has no need of.
func validResources(rr corev1.ResourceRequirements) error {
	for _, list := range []corev1.ResourceList{rr.Requests, rr.Limits} {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			switch name {
			case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
			default:
				return fmt.Errorf("a sidecar cannot have the resource %q: it can have cpu, memory and ephemeral-storage", name)
			}
			if q := list[name]; q.Sign() < 0 {
				return fmt.Errorf("the amount %s of %s is below zero", q.String(), name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rr.Requests)) {
		if limit, ok := rr.Limits[name]; ok && above(rr.Requests[name], limit) {
			request := rr.Requests[name]
			return fmt.Errorf("the request of %s %s is above the limit of %s", request.String(), name, limit.String())
		}
	}
	return nil
}

func above(a, b resource.Quantity) bool { return a.Cmp(b) > 0 }

// maxID is the greatest number of a user or group.
const maxID = 1<<31 - 1

func validSecurityContext(p *pod, sc *corev1.SecurityContext) error {
	if sc == nil {
		return nil
	}
	for _, id := range []*int64{sc.RunAsUser, sc.RunAsGroup} {
		if id != nil && (*id < 0 || *id > maxID) {
			return fmt.Errorf("%d in securityContext is not the number of a user or group: it is from 0 to %d", *id, maxID)
		}
	}
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
		privileged := sc.Privileged != nil && *sc.Privileged
		admin := sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN")
		if privileged || admin {
			return fmt.Errorf("securityContext has allowPrivilegeEscalation false, and privileged or CAP_SYS_ADMIN, which allow it")
		}
	}
	if sc.ProcMount != nil && *sc.ProcMount != corev1.DefaultProcMount {
		return fmt.Errorf("securityContext.procMount of a sidecar can only be %s", corev1.DefaultProcMount)
	}
	if s := sc.SeccompProfile; s != nil {
		if err := validProfile("seccompProfile", string(s.Type), s.LocalhostProfile); err != nil {
			return err
		}
	}
	if a := sc.AppArmorProfile; a != nil {
		if err := validProfile("appArmorProfile", string(a.Type), a.LocalhostProfile); err != nil {
			return err
		}
	}
	return validForSystem(p, sc)
}

// validProfile takes the profiles of seccomp and AppArmor, which have the same types.
func validProfile(name, kind string, localhost *string) error {
	switch kind {
	case "RuntimeDefault", "Unconfined":
		if localhost != nil {
			return fmt.Errorf("securityContext.%s of type %s has no localhostProfile", name, kind)
		}
	case "Localhost":
		if localhost == nil || strings.TrimSpace(*localhost) == "" || path.IsAbs(*localhost) || slices.Contains(strings.Split(*localhost, "/"), "..") {
			return fmt.Errorf("securityContext.%s of type Localhost needs a localhostProfile, a path below the kubelet's folder", name)
		}
	default:
		return fmt.Errorf("securityContext.%s.type %q is none of RuntimeDefault, Localhost, Unconfined", name, kind)
	}
	return nil
}

// validForSystem refuses fields of another operating system than the one that the pod names.
func validForSystem(p *pod, sc *corev1.SecurityContext) error {
	linux := sc.Capabilities != nil || sc.Privileged != nil || sc.SELinuxOptions != nil || sc.RunAsUser != nil || sc.RunAsGroup != nil ||
		sc.ReadOnlyRootFilesystem != nil || sc.AllowPrivilegeEscalation != nil || sc.ProcMount != nil || sc.SeccompProfile != nil || sc.AppArmorProfile != nil
	switch {
	case p.windows() && linux:
		return fmt.Errorf("securityContext has fields of Linux, and the pod is for Windows")
	case sc.WindowsOptions != nil && sc.WindowsOptions.HostProcess != nil && *sc.WindowsOptions.HostProcess:
		return fmt.Errorf("securityContext.windowsOptions has hostProcess, which a pod has for all of its containers or for none")
	case !p.windows() && p.Spec.OS != nil && sc.WindowsOptions != nil:
		return fmt.Errorf("securityContext has windowsOptions, and the pod is for Linux")
	}
	return nil
}
