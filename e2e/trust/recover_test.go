//go:build e2e

package trust_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// many is how many images the reference's estimate of a recovery is for.
const many = 2000

// fleet is many images of a registry.
type fleet struct {
	*service
	t      *testing.T
	client http.Client
	images []name.Digest
}

// pushMany makes many images, which share a layer and differ in an annotation, over a few repositories.
func pushMany(t *testing.T, s *service) *fleet {
	s.Helper()
	f := &fleet{service: s, t: t, client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}, images: make([]name.Digest, many)}
	base, err := random.Image(64, 1)
	if err != nil {
		s.Fatal(err)
	}
	const repositories = 10
	for i := range repositories {
		repository, err := name.NewRepository(fmt.Sprintf("%s/app/%d", s.registry.Host, i))
		if err != nil {
			s.Fatal(err)
		}
		if err := remote.Write(repository.Tag("base"), base, s.registry.Options(s.Context())...); err != nil {
			s.Fatal(err)
		}
	}
	f.each(func(i int) error {
		repository, err := name.NewRepository(fmt.Sprintf("%s/app/%d", s.registry.Host, i%repositories))
		if err != nil {
			return err
		}
		image := mutate.Annotations(base, map[string]string{"number": strconv.Itoa(i)}).(v1.Image)
		f.images[i], err = f.put(repository, image)
		return err
	})
	return f
}

// put uploads a manifest, the rest of which the registry has.
func (f *fleet) put(into name.Repository, image v1.Image) (name.Digest, error) {
	text, err := image.RawManifest()
	if err != nil {
		return name.Digest{}, err
	}
	media, err := image.MediaType()
	if err != nil {
		return name.Digest{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	req, err := http.NewRequestWithContext(f.Context(), http.MethodPut, "http://"+f.registry.Host+"/v2/"+into.RepositoryStr()+"/manifests/"+digest.String(), bytes.NewReader(text))
	if err != nil {
		return name.Digest{}, err
	}
	req.Header.Set("Content-Type", string(media))
	_, err = f.ask(req, http.StatusCreated)
	return into.Digest(digest.String()), err
}

func (f *fleet) ask(req *http.Request, want int) ([]byte, error) {
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s answers %s: %s", req.Method, req.URL, resp.Status, text)
	}
	return text, err
}

// each does something for every image, several at a time.
func (f *fleet) each(do func(i int) error) {
	f.Helper()
	const workers = 16
	errs := make([]error, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < many && errs[w] == nil; i += workers {
				errs[w] = do(i)
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		f.Fatal(err)
	}
}

// deployed writes the file of what runs: the first n images.
func (f *fleet) deployed(n int) {
	f.Helper()
	var b strings.Builder
	for _, i := range f.images[:n] {
		fmt.Fprintln(&b, i)
	}
	f.write("deployed", b.String())
}

// signedBy fails unless every image has a signature by that version of the key.
func (f *fleet) signedBy(version int) {
	f.Helper()
	text, err := httpGet(f.t, fmt.Sprintf("%s/v1/keys/images/%d.pem", f.url, version))
	if err != nil {
		f.Fatal(err)
	}
	public, err := key.ParsePEM(text)
	if err != nil {
		f.Fatal(err)
	}
	f.each(func(i int) error { return f.check(f.images[i], public) })
}

func (f *fleet) check(image name.Digest, public *ecdsa.PublicKey) error {
	tag := strings.Replace(image.DigestStr(), ":", "-", 1) + ".sig"
	req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, "http://"+f.registry.Host+"/v2/"+image.RepositoryStr()+"/manifests/"+tag, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	text, err := f.ask(req, http.StatusOK)
	if err != nil {
		return err
	}
	m, err := v1.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return err
	}
	for _, l := range m.Layers {
		hash, err := hex.DecodeString(l.Digest.Hex)
		if err != nil {
			return err
		}
		signature, err := base64.StdEncoding.DecodeString(l.Annotations["dev.cosignproject.cosign/signature"])
		if err != nil {
			return err
		}
		if ecdsa.VerifyASN1(public, hash, signature) {
			return nil // what it is over is for policy-controller to look at
		}
	}
	return fmt.Errorf("%s is not signed by the new key: %s", image, text)
}

// over is what recover says in the end.
var over = regexp.MustCompile(`everything is signed again; with the last poll of clusters it is over after (\d+) s \(the estimate for 2,000 images is (\d+) s\)`)

// recovery is a recover command that runs.
type recovery struct {
	*fleet
	how     string
	cmd     *exec.Cmd
	errs    bytes.Buffer
	revoked chan struct{} // closed when it has said that the old keys are
	out     chan string   // all that it said, at its end
}

// recover starts the command.
func (f *fleet) recover(how string) *recovery {
	f.Helper()
	r := &recovery{fleet: f, how: how, revoked: make(chan struct{}), out: make(chan string, 1)}
	r.cmd = exec.CommandContext(f.Context(), f.bin, "--config", f.path("trust.yaml"), "recover", how, "--url", f.url, "--token-file", f.path("token"), "--deployed", f.path("deployed"))
	r.cmd.Stderr = &r.errs
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		f.Fatal(err)
	}
	go func() {
		var all strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			if strings.Contains(lines.Text(), "keys are revoked") {
				close(r.revoked)
			}
		}
		r.out <- all.String()
	}()
	return r
}

// awaitRevocation waits until the old keys are revoked. In an orderly recovery nothing may be refused before.
func (r *recovery) awaitRevocation(unrefused string) {
	r.Helper()
	for asked := 0; ; asked++ {
		select {
		case <-r.revoked:
			r.Logf("%s: %s was admitted %d times meanwhile", r.how, unrefused, asked)
			return
		case out := <-r.out:
			r.Fatalf("recover %s ended without a revocation: %s%s", r.how, out, r.errs.String())
		case <-time.After(500 * time.Millisecond):
			if err := controller.Admit(r.Context(), r.namespace, unrefused); err != nil && r.how == "--orderly" {
				r.Errorf("recover %s: %v", r.how, err)
			}
		}
	}
}

// end waits for the end, and holds the time that the command tells against the estimate.
func (r *recovery) end() {
	r.Helper()
	out := <-r.out
	if err := r.cmd.Wait(); err != nil {
		r.Fatalf("recover %s: %v\n%s%s", r.how, err, out, r.errs.String())
	}
	r.Logf("recover %s:\n%s", r.how, out)
	m := over.FindStringSubmatch(out)
	if m == nil {
		r.Fatalf("recover %s does not tell how long it took", r.how)
	}
	took, _ := strconv.Atoi(m[1])
	if estimate, _ := strconv.Atoi(m[2]); took >= estimate {
		r.Errorf("recover %s took %d s, and the estimate is %d s", r.how, took, estimate)
	}
}

func TestTwoThousandImagesAreSignedAgainAndTheOldKeyIsRefused(t *testing.T) {
	start := time.Now()
	took := func(what string) {
		t.Logf("%s: %.1f s", what, time.Since(start).Seconds())
		start = time.Now()
	}
	s := startService(t, "")
	took("start")
	f := pushMany(t, s)
	took("push")
	// A tenth is signed before the first recovery, and everything before the second: to the registry a signature costs as much as another.
	f.deployed(many / 10)
	f.must("resign", "--url", f.url, "--token-file", f.path("token"), "--deployed", f.path("deployed"))
	f.deployed(many)
	took("the first signatures")
	for i, how := range []string{"--revoke-now", "--orderly"} {
		left := f.push("app/left") // is not signed again, and so shows when the old key is refused
		f.sign(left.String())
		within(t, settle, admitted(t, f.namespace, left.String()))
		r := f.recover(how)
		r.awaitRevocation(f.images[0].String())
		t.Logf("%s: the old key is refused after %v", how, within(t, soon, refused(t, f.namespace, left.String(), "no matching signatures")))
		r.end()
		took("recover " + how)
		f.signedBy(i + 2)
		within(t, soon, admitted(t, f.namespace, f.images[0].String()))
		within(t, soon, admitted(t, f.namespace, f.images[many-1].String()))
		took("check")
	}
}
