package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
)

// do acts as the observation says. What it changes, another look sees.
func (r *Run) do(ctx context.Context, s *Step, o observation) error {
	switch s.Action {
	case Scale:
		return r.scale(ctx, s)
	case PauseSync, ResumeSync:
		return r.sync(ctx, s)
	case RetainAll:
		return r.retain(ctx, s)
	case Export:
		return r.export(ctx)
	case Namespace:
		return r.namespace(ctx, s)
	case Recreate:
		_, err := r.Cluster.create(ctx, s.volume())
		return err
	case Rebind:
		return r.bind(ctx, s, o)
	case Apply:
		p, err := r.prepared(s)
		if err == nil {
			_, err = r.Cluster.apply(ctx, p)
		}
		return err
	}
	return fmt.Errorf("step %s has nothing to do", s.ID)
}

// scale keeps what the replicas were on the workload itself, for whoever has lost the plan.
func (r *Run) scale(ctx context.Context, s *Step) error {
	var was any // taken off when the workload runs again
	if *s.Replicas == 0 && s.Was != nil {
		was = strconv.FormatInt(*s.Was, 10)
	}
	_, err := r.Cluster.patch(ctx, *s.Object, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{annotationWas: was}},
		"spec":     map[string]any{"replicas": *s.Replicas},
	})
	return err
}

func (r *Run) sync(ctx context.Context, s *Step) error {
	var automated, kept any
	b, err := json.Marshal(s.Automated)
	if err != nil {
		return err
	}
	if s.Action == PauseSync {
		kept = string(b)
	} else {
		automated = replaced(s.Automated)
	}
	_, err = r.Cluster.patch(ctx, *s.Object, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"annotations": map[string]any{annotationAutomated: kept}},
		"spec":     map[string]any{"syncPolicy": map[string]any{"automated": automated}},
	})
	return err
}

// replaced makes a merge patch of automated sync that takes off what is not in it.
func replaced(m map[string]any) map[string]any {
	all := map[string]any{"prune": nil, "selfHeal": nil, "allowEmpty": nil, "enabled": nil}
	for k, v := range m {
		all[k] = v
	}
	return all
}

func (r *Run) retain(ctx context.Context, s *Step) error {
	names, err := r.unretained(ctx, s.Volume)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, err := r.Cluster.patch(ctx, volumeRef(name), types.MergePatchType, map[string]any{"spec": map[string]any{"persistentVolumeReclaimPolicy": "Retain"}})
		if err != nil {
			return fmt.Errorf("setting volume %s to Retain: %w", name, err)
		}
	}
	return nil
}

// export takes a snapshot. One that is not whole is put aside, not removed.
func (r *Run) export(ctx context.Context) error {
	if r.Cluster.dryRun {
		return nil
	}
	path := r.exportPath()
	if _, err := os.Lstat(path); err == nil {
		if err := os.Rename(path, path+".damaged-"+r.now().UTC().Format("20060102T150405.000")); err != nil {
			return err
		}
	}
	_, err := snapshot.Take(ctx, r.Cluster.client, snapshot.Folder(filepath.Dir(path)), snapshot.Options{Name: filepath.Base(path)})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (r *Run) namespace(ctx context.Context, s *Step) error {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": s.Object.Name}}}
	if s.Digest != "" {
		var err error
		if o, err = r.prepared(s); err != nil {
			return err
		}
	}
	_, err := r.Cluster.apply(ctx, o)
	return err
}

// describe is a step in a line, for people.
func (s *Step) describe() string {
	switch s.Action {
	case Rebind:
		var names []string
		for _, v := range s.Claim.Volumes {
			names = append(names, v.Volume)
		}
		return fmt.Sprintf("bind claim %s to volume %s", s.Claim.key(), strings.Join(names, " or "))
	case Apply, Namespace:
		text := "apply " + s.Object.String()
		if s.Replicas != nil {
			text += fmt.Sprintf(" with %d replicas", *s.Replicas)
		}
		if s.WithoutProbes {
			text += ", without probes"
		}
		if s.Suspended {
			text += ", suspended"
		}
		return text
	case Scale:
		return fmt.Sprintf("scale %s to %d", s.Object, *s.Replicas)
	case PauseSync:
		return "take automated sync from " + s.Object.String()
	case ResumeSync:
		return "give " + s.Object.String() + " automated sync"
	case RetainAll:
		return "set " + orElse(s.Volume, "every volume") + " to Retain"
	case Quiet:
		return "wait until nothing has changed for " + s.For
	case Export:
		return "take a snapshot beside the plan"
	case Assess:
		return "compare all volumes with the plan"
	case Recreate:
		return "make the object of volume " + s.Volume + " again"
	case AwaitKeys:
		return "look for " + s.Object.String()
	case Restored:
		return "wait for the restored claims " + strings.Join(s.Claims, ", ")
	case Confirm:
		return "ask " + s.Question
	}
	return "compare the claims with the plan"
}
