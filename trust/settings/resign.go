package settings

import (
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/access"
)

// Resign has the service sign again what is to go on running.
type Resign struct {
	// Every is the longest time between two passes.
	Every Duration `yaml:"every"`
	// Images are lists of images of others: files, and folders with files whose names end with images.yaml.
	Images []string `yaml:"images"`
	// Repositories are patterns, as in rules, of the repositories of our own images.
	Repositories []string `yaml:"repositories"`
	// Deployed is where images of our own are known to run.
	Deployed []Deployed `yaml:"deployed"`
}

// Deployed is a cluster, or a file or folder that names images. One of its fields is set.
type Deployed struct {
	Kubeconfig string `yaml:"kubeconfig"`
	InCluster  bool   `yaml:"in-cluster"` // the cluster that the service runs in
	Path       string `yaml:"path"`
}

// Selftest has the service make and keep the images that clusters are tested with.
type Selftest struct {
	Repository string `yaml:"repository"`
}

// defaultEvery is how often everything that runs is looked at without another setting; a pass that finds nothing to do is one request for each image.
const defaultEvery = Duration(time.Hour)

// checkResign says what is wrong with the settings of signing again.
func (s *Settings) checkResign(fail func(format string, args ...any)) {
	r := s.Resign
	if r == nil {
		return
	}
	if len(r.Images)+len(r.Deployed) == 0 {
		fail("resign has neither images nor deployed: there would be nothing to sign again")
	}
	if most := s.Rotation().Resign; time.Duration(r.Every) < time.Minute || time.Duration(r.Every) > most {
		fail("resign.every is %v: from 1m to timing.resign, which is %v, is wanted", time.Duration(r.Every), most)
	}
	if len(r.Images) > 0 && len(s.Sources) == 0 {
		fail("resign.images needs sources: the first is where signatures of images of others are written")
	}
	if len(r.Deployed) > 0 && len(r.Repositories) == 0 {
		fail("resign.deployed needs resign.repositories: only images of our own repositories are signed because they run")
	}
	if _, err := access.ParseRepositories(r.Repositories); err != nil {
		fail("resign.repositories: %w", err)
	}
	for i, d := range r.Deployed {
		set := 0
		for _, one := range []bool{d.Kubeconfig != "", d.InCluster, d.Path != ""} {
			if one {
				set++
			}
		}
		if set != 1 {
			fail("resign.deployed, entry %d: one of kubeconfig, in-cluster and path is wanted", i+1)
		}
	}
}
