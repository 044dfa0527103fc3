package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/trust/cli"
)

var nolog = log.New(io.Discard, "", 0)

// place is a folder with a configuration, and a registry.
type place struct {
	testing.TB
	dir, registry, url string
	env                map[string]string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(nolog)))
	t.Cleanup(server.Close)
	p := &place{TB: t, dir: t.TempDir(), registry: strings.TrimPrefix(server.URL, "http://"), env: map[string]string{}}
	addr := free(t)
	p.url = "http://" + addr
	p.write("trust.yaml", fmt.Sprintf("listen: %s\nadmin-listen: 127.0.0.1:0\ntiming: {poll: 1s, slack: 1s}\nsources: [%s/signatures/of-others]\n", addr, p.registry))
	if err := os.Mkdir(filepath.Join(p.dir, "holdfast-trust"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.write("holdfast-trust/rules.yaml", fmt.Sprintf("rules:\n- {name: all, token: ci, repositories: [\"%s/**\", \"docker.io/**\"]}\n", p.registry))
	return p
}

func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) {
	p.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
}

// buffer may be written by a service and read by a test.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run runs a command line, and returns its exit code and what it printed.
func (p *place) run(args ...string) (int, string, string) {
	p.Helper()
	var out, errs buffer
	code := cli.Main(p.Context(), cli.Options{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(k string) string { return p.env[k] }},
		append([]string{"--config", p.path("trust.yaml"), "--log-level", "error"}, args...))
	return code, out.String(), errs.String()
}

// must runs a command that must succeed, and returns its output.
func (p *place) must(args ...string) string {
	p.Helper()
	code, out, errs := p.run(args...)
	if code != cli.ExitDone {
		p.Fatalf("%s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// serve runs the service until the test ends, and returns when a key signs.
func (p *place) serve() {
	p.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var errs buffer
	go func() {
		defer close(ended)
		if code := cli.Main(ctx, cli.Options{Out: &errs, Err: &errs, Getenv: os.Getenv}, []string{"serve", "--config", p.path("trust.yaml")}); code != cli.ExitDone {
			p.Errorf("serve: %d: %s", code, errs.String())
		}
	}()
	p.Cleanup(func() { cancel(); <-ended })
	for end := time.Now().Add(time.Minute); !strings.Contains(errs.String(), "images/1 active"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("no key signs: %s", errs.String())
		}
	}
	p.write("pin.pem", p.must("keys", "pin"))
}

func (p *place) push(repository string) string {
	p.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		p.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		p.Fatal(err)
	}
	ref, err := name.NewDigest(p.registry + "/" + repository + "@" + hash.String())
	if err != nil {
		p.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		p.Fatal(err)
	}
	return ref.String()
}

// remove deletes an image, and leaves its signature.
func (p *place) remove(image string) {
	p.Helper()
	ref, err := name.NewDigest(image)
	if err != nil {
		p.Fatal(err)
	}
	if err := remote.Delete(ref); err != nil {
		p.Fatal(err)
	}
}

func (p *place) verify(images ...string) (int, string) {
	p.Helper()
	code, out, errs := p.run(append([]string{"verify", "--keys", p.url + "/v1/keys", "--pin", p.path("pin.pem")}, images...)...)
	return code, out + errs
}

func TestOneCommandSignsAndAnotherVerifies(t *testing.T) {
	p := newPlace(t)
	p.serve()
	p.env["HOLDFAST_TRUST_TOKEN"] = strings.TrimSpace(p.must("ci-credentials", "add", "ci"))
	image, other := p.push("app/web"), p.push("app/web")
	if out := p.must("sign", "--url", p.url, image); !strings.HasPrefix(out, "signed  "+image+" by images/1 until ") {
		t.Errorf("sign prints %s", out)
	}
	if code, out := p.verify(image); code != cli.ExitDone || !strings.HasPrefix(out, "ok      "+image+" by images/1 until ") {
		t.Errorf("verify: %d %s", code, out)
	}
	if code, out := p.verify(image, other); code != cli.ExitFailed || !strings.Contains(out, "REFUSED "+other) {
		t.Errorf("an image that is not signed: %d %s", code, out)
	}
	if code, out := p.verify("127.0.0.1:1/x@" + image[strings.Index(image, "sha256:"):]); code != cli.ExitUnknown || !strings.Contains(out, "UNKNOWN") {
		t.Errorf("a registry that is away: %d %s", code, out)
	}
	// A signature alone lets nothing run.
	gone := p.push("app/web")
	p.must("sign", "--url", p.url, gone)
	p.remove(gone)
	if code, out := p.verify(image, gone); code != cli.ExitFailed || !strings.Contains(out, "ok      "+image) || !strings.Contains(out, "REFUSED "+gone+": the image is not in its registry") {
		t.Errorf("an image that was deleted: %d %s", code, out)
	}
	// One command replaces the token.
	old := p.env["HOLDFAST_TRUST_TOKEN"]
	p.env["HOLDFAST_TRUST_TOKEN"] = strings.TrimSpace(p.must("ci-credentials", "rotate", "ci"))
	time.Sleep(1100 * time.Millisecond)
	p.must("sign", "--url", p.url, "--force", image)
	p.env["HOLDFAST_TRUST_TOKEN"] = old
	if code, _, errs := p.run("sign", "--url", p.url, "--force", image); code != cli.ExitFailed || strings.Contains(errs, old) {
		t.Errorf("the old token: %d %s", code, errs)
	}
	if head := p.must("audit", "verify"); !regexp.MustCompile(`^[0-9]+:[0-9a-f]{64}\n$`).MatchString(head) {
		t.Errorf("audit verify prints %s", head)
	}
}

func TestARecoveryReplacesKeysAndSignatures(t *testing.T) {
	for _, order := range []string{"--orderly", "--revoke-now"} {
		t.Run(order, func(t *testing.T) {
			p := newPlace(t)
			p.serve()
			p.env["HOLDFAST_TRUST_TOKEN"] = strings.TrimSpace(p.must("ci-credentials", "add", "ci"))
			var all []string
			for range 7 {
				all = append(all, p.push("app/web"))
			}
			p.write("deployed", "# what runs\n"+strings.Join(all, "\n")+"\n")
			theirs := "docker.io/library/redis:7@" + all[0][strings.Index(all[0], "sha256:"):]
			p.write("images.yaml", "images:\n- {reference: "+theirs+", owner: o, reviewed-by: r, expires: "+time.Now().AddDate(0, 2, 0).Format(time.DateOnly)+"}\n")
			p.must("resign", "--url", p.url, "--deployed", p.path("deployed"), "--images", p.path("images.yaml"))
			out := p.must("recover", order, "--url", p.url, "--deployed", p.path("deployed"), "--images", p.path("images.yaml"))
			if !strings.Contains(out, "8 images in ") || !strings.Contains(out, "the estimate for 2,000 images is 240 s") {
				t.Errorf("it prints %s", out)
			}
			if keys := p.must("keys", "list"); !strings.Contains(keys, "images/2  active") || strings.Contains(keys, "images/1") {
				t.Errorf("the keys are\n%s", keys)
			}
			if code, out := p.verify("--deployed", p.path("deployed"), "--images", p.path("images.yaml")); code != cli.ExitDone || strings.Count(out, "by images/2") != len(all)+1 {
				t.Errorf("verify: %d %s", code, out)
			}
		})
	}
}

func TestSignaturesByKeysThatAreGoneAreDeleted(t *testing.T) {
	p := newPlace(t)
	p.serve()
	p.env["HOLDFAST_TRUST_TOKEN"] = strings.TrimSpace(p.must("ci-credentials", "add", "ci"))
	stale, kept := p.push("app/web"), p.push("app/web")
	p.must("sign", "--url", p.url, stale, kept)
	p.must("keys", "revoke", "images/1")
	time.Sleep(1100 * time.Millisecond) // until the service has noticed
	p.must("sign", "--url", p.url, kept)
	collect := []string{"collect", "--keys", p.url + "/v1/keys", "--pin", p.path("pin.pem"), p.registry + "/app/web"}
	tag := strings.ReplaceAll(stale, "@sha256:", ":sha256-") + ".sig"
	if out := p.must(append(collect, "--dry-run")...); !strings.Contains(out, "would delete "+tag) || !strings.Contains(out, "1 signatures count, 1 are by keys that are gone") {
		t.Errorf("a dry run prints %s", out)
	}
	if out := p.must(collect...); !strings.Contains(out, "deleted "+tag) {
		t.Errorf("it prints %s", out)
	}
	if code, out := p.verify(kept); code != cli.ExitDone {
		t.Errorf("what counts is %d %s", code, out)
	}
}

func TestWhatIsMissingIsSaidBeforeAnythingChanges(t *testing.T) {
	p := newPlace(t)
	for want, args := range map[string][]string{
		"one of --orderly and --revoke-now": {"recover"},
		"nothing has been changed":          {"recover", "--orderly", "--deployed", p.path("none")},
		"there is nothing to sign":          {"resign"},
		"there is nothing to verify":        {"verify", "--pin", p.path("none")},
		"NAME/VERSION is wanted":            {"keys", "revoke", "images"},
		`"two" is no version`:               {"keys", "relist", "two"},
		"--only is":                         {"serve", "--only", "page"},
		`unknown flag: --keyss`:             {"sync", "--keyss", "x"},
	} {
		if code, _, errs := p.run(args...); code == cli.ExitDone || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if code, _, errs := p.run("images", "check", p.path("none.yaml")); code != cli.ExitUnknown || !strings.Contains(errs, "none.yaml") {
		t.Errorf("a list that is not there: %d %s", code, errs)
	}
}

func TestCommandsMakeNoKeysWhereThereAreNone(t *testing.T) {
	p := newPlace(t)
	gone, empty := p.path("typo"), t.TempDir()
	p.write("list.json", "{}")
	p.env["HOLDFAST_TRUST_TOKEN"] = "hft_x"
	for _, dir := range []string{gone, empty} {
		for _, args := range []string{"keys list", "keys rotate", "keys pin", "keys pin --next", "keys relist", "keys renew", "keys revoke images/1", "keys adopt " + p.path("list.json"),
			"recover --revoke-now", "audit verify", "ci-credentials rotate ci", "ci-credentials revoke ci"} {
			code, out, errs := p.run(append(strings.Fields(args), "--data", dir)...)
			if code != cli.ExitUnknown || out != "" || !strings.Contains(errs, dir) {
				t.Errorf("%s in %s: %d %s%s", args, dir, code, out, errs)
			}
			if !strings.HasPrefix(args, "audit") && !strings.Contains(errs, "Is --data or --config the service's?") {
				t.Errorf("%s does not say how to mend it: %s", args, errs)
			}
		}
	}
	if code, _, errs := p.run("ci-credentials", "add", "ci", "--data", gone); code == cli.ExitDone || !strings.Contains(errs, gone) {
		t.Errorf("a token for a service that is not there: %d %s", code, errs)
	}
	if _, err := os.Stat(gone); err == nil {
		t.Errorf("%s was made", gone)
	}
	if made, err := os.ReadDir(empty); err != nil || len(made) > 0 {
		t.Errorf("in the empty folder is now %v, %v", made, err)
	}
	if _, out, errs := p.run("ci-credentials", "add", "ci", "--data", empty); !strings.HasPrefix(out, "hft_") || !strings.Contains(errs, "tokens.json is new") {
		t.Errorf("the first token: %s%s", out, errs)
	}
}

// The rule is the same for all commands, and the help says it.
func TestExitCodesTellWhatIsWrongFromWhatCouldNotBeHad(t *testing.T) {
	p := newPlace(t)
	p.env["HOLDFAST_TRUST_TOKEN"] = "hft_x"
	p.write("wrong.yaml", "timing: {active: soon}\n")
	p.write("pin.pem", "no key")
	p.write("kubeconfig", "")
	t.Setenv("KUBECONFIG", p.path("kubeconfig"))
	t.Setenv("HOME", p.dir)
	none, image := p.path("none"), "reg.example/app@sha256:"+strings.Repeat("a", 64)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"keys list --config " + p.path("wrong.yaml"), cli.ExitUsage, `wrong.yaml:1: "soon" is no time: 90s, 1h30m or 7d are some` + "\n"},
		{"keys list --config " + none, cli.ExitUnknown, "none: no such file"},
		{"keys list --log-level loud", cli.ExitUsage, `--log-level "loud" is not understood: it is debug, info, warn or error`},
		{"ci-credentials add ci --life 5x", cli.ExitUsage, `Error: --life "5x" is not understood: it is a time such as 90s or 1h30m` + "\n"},
		{"sync --minimum-version three", cli.ExitUsage, `Error: --minimum-version "three" is not understood: it is a whole number` + "\n"},
		{"resign --deployed " + none, cli.ExitUnknown, "none: no such file"},
		{"verify --pin " + none + " " + image, cli.ExitUnknown, "none: no such file"},
		{"verify --pin " + p.path("pin.pem") + " --deployed " + none, cli.ExitUnknown, "none: no such file"},
		{"sign --url http://trust.example " + image, cli.ExitUsage, "is no https URL"},
		{"sign --ca " + none + " " + image, cli.ExitUnknown, "none: no such file"},
		{"sign --certificate " + none + " --key " + none + " " + image, cli.ExitUnknown, "none: no such file"},
		{"inventory --pin " + none, cli.ExitUnknown, "there is no kubeconfig: give one by --kubeconfig, or set KUBECONFIG"},
		{"selftest --good a --bad b", cli.ExitUnknown, "there is no kubeconfig: give one by --kubeconfig, or set KUBECONFIG"},
		{"sync --keys https://trust.example --pin " + none, cli.ExitUnknown, "there is no kubeconfig"},
		{"audit verify", cli.ExitUnknown, "no audit log"},
	} {
		if code, _, errs := p.run(strings.Fields(c.args)...); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.args, code, errs, c.code, c.says)
		}
	}
	delete(p.env, "HOLDFAST_TRUST_TOKEN")
	if code, _, errs := p.run("sign", image); code != cli.ExitUsage || !strings.Contains(errs, "there is no token") {
		t.Errorf("without a token: %d %s", code, errs)
	}
	if help := p.must("--help"); !strings.Contains(help, "Exit codes: 0 done; 1 ") {
		t.Errorf("the help says %s", help)
	}
}

func TestWhatIsNotSignedIsToldOnce(t *testing.T) {
	p := newPlace(t)
	p.serve()
	p.env["HOLDFAST_TRUST_TOKEN"] = strings.TrimSpace(p.must("ci-credentials", "add", "ci"))
	code, out, errs := p.run("sign", "--url", p.url, "reg.example/app:1")
	if code != cli.ExitFailed || out != `FAILED  reg.example/app:1: "reg.example/app:1" names no image by its digest, as reg.example/app@sha256:… does`+"\n" || errs != "Error: 1 of 1 images were not signed\n" {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

func TestAListOfImagesIsChecked(t *testing.T) {
	p := newPlace(t)
	p.write("images.yaml", "images:\n- {reference: redis:7, owner: o, reviewed-by: r, expires: 2020-01-01}\n")
	code, out, errs := p.run("images", "check", p.path("images.yaml"))
	if code != cli.ExitFailed || !strings.Contains(out, p.path("images.yaml")+":2: error: redis:7 has no digest") || !strings.Contains(errs, "1 errors in") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}
