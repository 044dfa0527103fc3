package trust

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/inventory"
	"github.com/holdfast-telemetry/holdfast/trust/resign"
	"github.com/holdfast-telemetry/holdfast/trust/selftest"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// resign is the job that signs again; nil where there is none, or where this process does not sign.
func (s *Service) resign() (*resign.Job, error) {
	c := s.Settings
	if s.signer == nil || c.Resign == nil && c.Selftest.Repository == "" {
		return nil, nil
	}
	job := resign.New()
	job.Signer, job.Keys, job.Reader, job.Logger = s.signer, s.rotation, &signature.Reader{Client: s.registries}, s.Logger
	var err error
	if job.Instance, err = instance(); err != nil {
		return nil, err
	}
	if job.State, err = s.resignState(); err != nil {
		return nil, err
	}
	for _, source := range c.Sources {
		repository, err := name.NewRepository(source)
		if err != nil {
			return nil, fmt.Errorf("sources: %w", err)
		}
		job.Sources = append(job.Sources, repository)
	}
	if job.Prepare, err = s.prepare(job.Reader); err != nil {
		return nil, err
	}
	job.Every = c.Rotation().Resign
	if r := c.Resign; r != nil {
		job.Every, job.Lists = time.Duration(r.Every), r.Images
		ours, err := access.ParseRepositories(r.Repositories)
		if err != nil {
			return nil, err
		}
		job.Ours = ours.Match
		for _, d := range r.Deployed {
			job.Places = append(job.Places, place(d))
		}
	}
	return job, nil
}

// instance is a name of this process that no other has.
func instance() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // which cannot fail
	return host + "-" + hex.EncodeToString(b[:]), nil
}

// resignState keeps who signs again beside the record of the keys.
func (s *Service) resignState() (state.Store, error) {
	store, err := s.state()
	switch o := store.(type) {
	case *state.File:
		return &state.File{Path: filepath.Join(filepath.Dir(o.Path), "resign.json")}, nil
	case *state.ConfigMap:
		return &state.ConfigMap{Client: o.Client, Name: o.Name + "-resign"}, nil
	}
	return nil, err
}

// place is where images run. A cluster is found anew at each pass: its file may have been replaced.
func place(d settings.Deployed) resign.Place {
	if d.Path != "" {
		return resign.Place{Name: d.Path, Reviewed: true, Read: func(context.Context) (*inventory.Deployed, error) {
			all, err := inventory.References(d.Path)
			if all == nil && err != nil {
				return nil, err
			}
			return &inventory.Deployed{Images: all}, err
		}}
	}
	named := d.Kubeconfig
	if d.InCluster {
		named = "this cluster"
	}
	return resign.Place{Name: named, Read: func(ctx context.Context) (*inventory.Deployed, error) {
		client, err := cluster(d.Kubeconfig)
		if err != nil {
			return nil, err
		}
		return inventory.Read(ctx, client)
	}}
}

// prepare makes and keeps the images of the self-test.
func (s *Service) prepare(reader *signature.Reader) (func(context.Context) error, error) {
	if s.Settings.Selftest.Repository == "" {
		return nil, nil
	}
	repository, err := name.NewRepository(s.Settings.Selftest.Repository)
	if err != nil {
		return nil, fmt.Errorf("selftest.repository: %w", err)
	}
	images := &selftest.Images{Repository: repository, Registries: s.registries, Reader: reader}
	return func(ctx context.Context) error {
		return images.Keep(ctx, func(reference string) error {
			r := s.signer.Renew(ctx, audit.Who{Kind: "service", Name: "selftest"}, reference, false, s.rotation.Timing.Lifetime)
			if r.Error != "" {
				return errors.New(r.Error)
			}
			return nil
		})
	}, nil
}
