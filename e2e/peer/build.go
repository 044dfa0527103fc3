// Package peer builds and starts the programs that the end-to-end tests and the benchmarks hold the node against. Each is built from
// its own module, by a module of ours under e2e/peers that pins its version, once, into a cache outside the tree.
package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
)

// program is how one peer is built.
type program struct {
	module string // folder under e2e/peers
	path   string // package path
	tags   string
	flags  string // for the linker
}

var programs = map[string]program{
	"influxd": {module: "influxdb", path: "github.com/influxdata/influxdb/cmd/influxd"},
	"influx":  {module: "influxdb", path: "github.com/influxdata/influxdb/cmd/influx"},
	"telegraf": {
		module: "telegraf", path: "github.com/influxdata/telegraf/cmd/telegraf",
		// All of Telegraf takes ten times as long to build; these are the plugins that the tests use.
		tags: "custom,inputs.cpu,inputs.mem,inputs.exec,inputs.file,outputs.influxdb,outputs.influxdb_v2," +
			"parsers.influx,serializers.influx",
		flags: "-X github.com/influxdata/telegraf/internal.Version=1.39.1",
	},
}

// Build returns the path of a peer's program: "influxd" and "influx" of InfluxDB 1.8.10, "telegraf" of Telegraf 1.39.1.
func Build(name string) (string, error) {
	p, ok := programs[name]
	if !ok {
		names := make([]string, 0, len(programs))
		for n := range programs {
			names = append(names, n)
		}
		sort.Strings(names)
		return "", fmt.Errorf("no peer is called %q; there are %v", name, names)
	}
	dir, err := moduleDir(p.module)
	if err != nil {
		return "", err
	}
	key, err := p.key(dir)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, fmt.Sprintf("%s-%s", name, key))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Built beside its place and moved there, so that a second build at the same time cannot see half of it.
	unfinished := fmt.Sprintf("%s.%d", target, os.Getpid())
	cmd := exec.Command("go", "build", "-trimpath", "-o", unfinished, "-tags", p.tags, "-ldflags", "-s -w "+p.flags, p.path)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build peer %s in %s: %w\n%s", name, dir, err, out)
	}
	return target, os.Rename(unfinished, target)
}

// key changes with everything that the program is built from.
func (p program) key(dir string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, p, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// cacheDir is $HOLDFAST_PEER_CACHE, or a folder in the user's cache.
func cacheDir() (string, error) {
	if dir := os.Getenv("HOLDFAST_PEER_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w; set HOLDFAST_PEER_CACHE", err)
	}
	return filepath.Join(dir, "holdfast-peers"), nil
}

// moduleDir finds a peer's module beside this file, wherever the caller was started.
func moduleDir(name string) (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the tests must be run from the sources")
	}
	return filepath.Join(filepath.Dir(file), "..", "peers", name), nil
}
