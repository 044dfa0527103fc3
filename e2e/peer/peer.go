// Package peer builds and runs other people's programs for end-to-end tests and benchmarks.
//
// Each folder of e2e/peers is a Go module of its own that pins the versions of one program and names its commands in a file
// that is never compiled. Build compiles them once and keeps the binaries in a cache; Start runs one as long as a test lasts.
// Peers are built without cgo and never installed anywhere else.
package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Build returns the folder with the commands of e2e/peers/<name>, which it compiles when the cache does not have them. The
// cache is $HOLDFAST_PEER_CACHE, or holdfast-peers in the user's cache folder.
func Build(ctx context.Context, name string) (string, error) {
	module, err := find(filepath.Join("e2e", "peers", name))
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	key, err := key(module)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name+"-"+key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making the peer cache: %w", err)
	}
	tmp, err := os.MkdirTemp(cache, name+"-*.tmp")
	if err != nil {
		return "", fmt.Errorf("making the peer cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := compile(ctx, module, tmp); err != nil {
		return "", fmt.Errorf("building peer %s: %w", name, err)
	}
	// Another test may have built the same meanwhile: the first one stays.
	if err := os.Rename(tmp, dir); err != nil {
		if _, serr := os.Stat(dir); serr != nil {
			return "", fmt.Errorf("keeping peer %s: %w", name, err)
		}
	}
	return dir, nil
}

// Source returns the folder with the source of a module that e2e/peers/<name> requires, in the version that it does, for the files
// beside its code: manifests and the like. It may not be written to.
func Source(ctx context.Context, name, module string) (string, error) {
	dir, err := find(filepath.Join("e2e", "peers", name))
	if err != nil {
		return "", err
	}
	out, err := run(ctx, dir, "go", "mod", "download", "-json", module)
	if err != nil {
		return "", fmt.Errorf("finding the source of peer %s: %w", name, err)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil || found.Dir == "" {
		return "", fmt.Errorf("finding the source of peer %s: go mod download says %q", name, out)
	}
	return found.Dir, nil
}

// Executable returns the path of a command in a folder that Build returned.
func Executable(dir, command string) string {
	if runtime.GOOS == "windows" {
		command += ".exe"
	}
	return filepath.Join(dir, command)
}

// Names returns the peers that there are.
func Names() ([]string, error) {
	influxdb, err := find(filepath.Join("e2e", "peers", "influxdb"))
	if err != nil {
		return nil, err
	}
	mods, err := filepath.Glob(filepath.Join(filepath.Dir(influxdb), "*", "go.mod"))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(mods))
	for i, m := range mods {
		names[i] = filepath.Base(filepath.Dir(m))
	}
	return names, nil
}

// find returns the absolute path of a folder of this repository, looked for from the working folder upwards.
func find(rel string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		p := filepath.Join(dir, rel)
		if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
			return p, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("%s: no such peer above the working folder", rel)
		}
		dir = up
	}
}

func cacheDir() (string, error) {
	if dir := os.Getenv("HOLDFAST_PEER_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the peer cache (set HOLDFAST_PEER_CACHE): %w", err)
	}
	return filepath.Join(dir, "holdfast-peers"), nil
}

// key changes whenever the binaries would.
func key(module string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, f := range []string{"go.mod", "go.sum", "peers.go", flagsFile} {
		text, err := os.ReadFile(filepath.Join(module, f))
		if err != nil && !(f == flagsFile && errors.Is(err, fs.ErrNotExist)) {
			return "", fmt.Errorf("reading the peer's module: %w", err)
		}
		fmt.Fprintf(h, "%d\n", len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// compile builds the commands that the module's peers.go imports into dir.
func compile(ctx context.Context, module, dir string) error {
	commands, err := commands(filepath.Join(module, "peers.go"))
	if err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-ldflags=-s -w"}
	if flags, err := os.ReadFile(filepath.Join(module, flagsFile)); err == nil {
		args = append(args, strings.Split(strings.TrimSpace(string(flags)), "\n")...)
	}
	for _, c := range commands {
		if _, err := run(ctx, module, "go", append(args, "-o", Executable(dir, c.name), c.pkg)...); err != nil {
			return err
		}
	}
	return nil
}

// command is one program of a peer.
type command struct {
	pkg  string // import path of its main package
	name string // of its binary, without .exe
}

// commands reads which commands a peers.go imports. A command is called like the last element of its package's path, or like
// the name that it is imported under: etcd's path ends in v3.
func commands(file string) ([]command, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("reading the peer's commands: %w", err)
	}
	var cs []command
	for _, i := range f.Imports {
		pkg, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("reading the peer's commands: %s: %w", i.Path.Value, err)
		}
		c := command{pkg: pkg, name: path.Base(pkg)}
		if i.Name != nil && i.Name.Name != "_" {
			c.name = i.Name.Name
		}
		cs = append(cs, c)
	}
	if len(cs) == 0 {
		return nil, fmt.Errorf("%s imports no command", file)
	}
	return cs, nil
}

// flagsFile is the optional file of a peer's module with arguments for go build, one a line.
const flagsFile = "flags"

// run returns what the command wrote to its standard output.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false -mod=readonly")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}
