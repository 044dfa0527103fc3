// Command operator measures holdfast-operator on a real control plane: the memory it takes for many pods, the time that a change of a
// class takes to reach every pod, what admission adds to the creation of a pod, and what it costs the API server. It prints a table.
//
// Everything is bounded: pods by their count, rates by a ticker, waits by a time. The control plane runs on the loopback; pods become
// Running in name only.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// options are the size of a run.
type options struct {
	program, deploy           string
	pods, namespaces, classes int
	rate, parallel            int
	rounds, repeats           int
	slice, sample             time.Duration
	skip, args                []string
}

// bound is how long a whole run may take.
const bound = 2 * time.Hour

func main() {
	log.SetFlags(log.Ltime)
	log.SetPrefix("operator: ")
	o := options{}
	flag.StringVar(&o.program, "program", "../bin/holdfast-operator", "the built program")
	flag.StringVar(&o.deploy, "deploy", "../deploy", "the folder with the manifests")
	flag.IntVar(&o.pods, "pods", 10_000, "annotated pods")
	flag.IntVar(&o.namespaces, "namespaces", 50, "namespaces that they are in")
	flag.IntVar(&o.classes, "classes", 20, "classes: one that every pod has, one of a quarter of the pods, and others")
	flag.IntVar(&o.rate, "rate", 50, "creations per second while their latency is measured")
	flag.IntVar(&o.parallel, "parallel", 16, "requests at once while pods are made and deleted")
	flag.IntVar(&o.repeats, "repeats", 3, "changes of each class; the median is told")
	flag.IntVar(&o.rounds, "rounds", 6, "rounds of the latency's measurement: without a webhook, with one that does nothing, with one that has the patch in memory, with the operator")
	flag.DurationVar(&o.slice, "slice", 10*time.Second, "how long each of them is measured in a round")
	flag.DurationVar(&o.sample, "sample", time.Minute, "how long memory is sampled when it has settled")
	skip := flag.String("skip", "", "parts to leave out, with commas between: empty, changes, latency, restart, churn")
	floorAddr := flag.String("floor", "", "of the process with the webhooks that decide nothing: its address")
	floorDir := flag.String("floor-certificate", "", "of the same: the folder with its certificate and patch")
	flag.Parse()
	if *floorAddr != "" {
		log.Fatal(serveFloor(*floorAddr, *floorDir))
	}
	o.skip = strings.Split(*skip, ",")
	o.args = flag.Args() // of the operator, after those of its Deployment
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if o.pods < 1 || o.namespaces < 1 || o.classes < 3 || o.rate < 1 || o.parallel < 1 || o.rounds < 1 || o.repeats < 1 {
		log.Fatal("counts are at least 1, and there are at least 3 classes")
	}
	var err error
	if o.program, err = filepath.Abs(o.program); err != nil { // it is started in a folder of its own
		log.Fatal(err)
	}
	if err := run(ctx, os.Stdout, o); err != nil {
		log.Fatal(err)
	}
}
