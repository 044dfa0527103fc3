// Package corpus generates a GitOps repository in the shape of the article's: env/(cluster)/(app)/yml with one rendered object in each file,
// an Application and an AppProject called (app)-(cluster) for every folder, and in each cluster an app "argocd" that holds those of the
// others. It follows the conventions and has the protections that the rules want, so that a check finds nothing of error severity.
//
// The same shape always gives the same bytes. Files come one after the other, and none is kept.
package corpus

import (
	"bytes"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"path"
	"text/template"
)

// Shape is the size of a repository. Of each app there are 100 objects.
type Shape struct {
	Clusters int
	Apps     int // of each cluster, without "argocd"
	Seed     uint64
}

// Objects is how many there are.
func (s Shape) Objects() int { return s.Clusters * (100*s.Apps + 2) }

// File is one of a repository. In a change, a file without data is removed.
type File struct {
	Path string // with slashes
	Data []byte // valid until the next file
}

//go:embed objects.tmpl
var text string

var objects = template.Must(template.New("").Parse(text))

// kinds are the objects of one app: what reference repositories were measured to have.
var kinds = []struct {
	template, apiVersion string
	count                int
}{
	{"ConfigMap", "v1", 27}, {"Deployment", "apps.v1", 21}, {"Service", "v1", 17}, {"Headless", "v1", 4}, {"ServiceAccount", "v1", 7},
	{"ServiceMonitor", "monitoring.coreos.com.v1", 5}, {"PodDisruptionBudget", "policy.v1", 4}, {"HorizontalPodAutoscaler", "autoscaling.v2", 4},
	{"StatefulSet", "apps.v1", 4}, {"Ingress", "networking.k8s.io.v1", 2}, {"NetworkPolicy", "networking.k8s.io.v1", 2},
}

// stateless and stateful are names of workloads.
var (
	stateless = []string{"api", "auth", "billing", "cache-warmer", "compactor", "dashboards", "exporter", "gateway", "ingester", "ledger", "mailer",
		"notifier", "planner", "query", "quota", "router", "ruler", "scheduler", "tasks", "web", "writer", "archiver", "auditor", "janitor",
		"limits", "metadata", "relay"}
	stateful = []string{"etcd", "kafka", "storage", "zookeeper"}
)

// fields are what the templates see of an object.
type fields struct {
	Cluster, App, Name, Of string
	N, Replicas, Minor     int
	Digest                 string
	Settings               []string
}

// Files calls yield with every file, in the order of clusters and apps, until it returns an error.
func (s Shape) Files(yield func(File) error) error {
	for c := range s.Clusters {
		cluster := fmt.Sprintf("cluster%02d", c+1)
		if err := s.control(cluster, yield); err != nil {
			return err
		}
		for a := range s.Apps {
			if err := s.app(cluster, a, yield); err != nil {
				return err
			}
		}
	}
	return nil
}

func appName(a int) string { return fmt.Sprintf("app%02d", a+1) }

// control yields the Applications and AppProjects of a cluster.
func (s Shape) control(cluster string, yield func(File) error) error {
	for a := -1; a < s.Apps; a++ {
		app := "argocd"
		if a >= 0 {
			app = appName(a)
		}
		for _, kind := range []string{"Application", "AppProject"} {
			name := app + "-" + cluster
			file := fmt.Sprintf("argoproj.io.v1alpha1.%s-argocd.%s.yaml", kind, name)
			data, err := render(kind, fields{Cluster: cluster, App: app, Name: name})
			if err != nil {
				return err
			}
			if err := yield(File{path.Join("env", cluster, "argocd", "yml", file), data}); err != nil {
				return err
			}
		}
	}
	return nil
}

// app yields the 98 objects of an app.
func (s Shape) app(cluster string, a int, yield func(File) error) error {
	app := appName(a)
	dir := path.Join("env", cluster, app, "yml")
	data, err := render("Namespace", fields{Cluster: cluster, App: app, Name: app})
	if err != nil {
		return err
	}
	if err := yield(File{path.Join(dir, "v1.Namespace-"+app+".yaml"), data}); err != nil {
		return err
	}
	for _, kind := range kinds {
		for n := range kind.count {
			o := s.draw(cluster, app, kind.template, n)
			data, err := render(kind.template, o)
			if err != nil {
				return err
			}
			if err := yield(File{path.Join(dir, fileName(kind.apiVersion, kind.template, o)), data}); err != nil {
				return err
			}
		}
	}
	return nil
}

func fileName(apiVersion, kind string, o fields) string {
	if kind == "Headless" {
		kind = "Service"
	}
	return fmt.Sprintf("%s.%s-%s.%s.yaml", apiVersion, kind, o.App, o.Name)
}

// draw draws the n-th object of a kind.
func (s Shape) draw(cluster, app, kind string, n int) fields {
	random := s.random(cluster, app, kind, n)
	names := stateless
	if kind == "StatefulSet" || kind == "Headless" || kind == "PodDisruptionBudget" {
		names = stateful
	}
	o := fields{Cluster: cluster, App: app, Name: names[n], Of: names[n], N: n, Replicas: 2 + random.IntN(5), Minor: random.IntN(90)}
	if kind == "PodDisruptionBudget" || kind == "ServiceMonitor" || kind == "HorizontalPodAutoscaler" {
		o.Name += "-" + app
	}
	o.Digest = fmt.Sprintf("%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
	for range 4 + random.IntN(20) {
		o.Settings = append(o.Settings, fmt.Sprintf("%s_%s = %d", stateless[random.IntN(len(stateless))], stateful[random.IntN(len(stateful))], random.IntN(100000)))
	}
	return o
}

// random is the source of one object's values, whatever else is generated.
func (s Shape) random(words ...any) *rand.Rand {
	h := s.Seed
	for _, c := range fmt.Append(nil, words...) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(s.Seed, h))
}

func render(kind string, o fields) ([]byte, error) {
	var b bytes.Buffer
	if err := objects.ExecuteTemplate(&b, kind, o); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Change is what a pull request of ten files does to the first cluster: images and settings of an app change, a Service comes and a
// ConfigMap goes.
func (s Shape) Change() ([]File, error) {
	cluster, app := "cluster01", appName(s.Apps-1)
	dir := path.Join("env", cluster, app, "yml")
	var files []File
	add := func(apiVersion, kind string, o fields) error {
		data, err := render(kind, o)
		files = append(files, File{path.Join(dir, fileName(apiVersion, kind, o)), data})
		return err
	}
	for n := range 6 {
		o := s.draw(cluster, app, "Deployment", n)
		o.Minor++
		if err := add("apps.v1", "Deployment", o); err != nil {
			return nil, err
		}
	}
	for n := range 2 {
		o := s.draw(cluster, app, "ConfigMap", n)
		o.Settings = append(o.Settings, "added = 1")
		if err := add("v1", "ConfigMap", o); err != nil {
			return nil, err
		}
	}
	if err := add("v1", "Service", s.draw(cluster, app, "Service", 17)); err != nil {
		return nil, err
	}
	gone := s.draw(cluster, app, "ConfigMap", 26)
	return append(files, File{Path: path.Join(dir, fileName("v1", "ConfigMap", gone))}), nil
}
