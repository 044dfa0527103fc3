package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// FuzzManifest holds for any bytes: reading ends without a panic, and no layer is by a key that did not sign its digest.
func FuzzManifest(f *testing.F) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	keys := []key.Public{{ID: key.ID{Name: "images", Version: 1}, Key: &private.PublicKey}}
	image := digestOf([]byte("image"))
	p := Payload{Reference: "reg.example/app", Digest: image, Issued: time.Unix(1767607200, 0).UTC(), Key: keys[0].ID}
	text, err := p.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	h := sha256.Sum256(text)
	der, err := ecdsa.SignASN1(rand.Reader, private, h[:])
	if err != nil {
		f.Fatal(err)
	}
	good, err := writeManifest(writeLayer(text, der, p.Issued))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"layers":null,"config":1}`))
	f.Add([]byte(`{"layers":[{"mediaType":"` + PayloadMediaType + `","size":1,"digest":"` + image.String() + `","annotations":{"` + SignatureAnnotation + `":"` + base64.StdEncoding.EncodeToString([]byte{0x30, 0}) + `"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		for _, l := range m.Layers {
			by, signed, err := l.signer(keys)
			if err != nil {
				continue
			}
			raw, _ := base64.StdEncoding.DecodeString(l.Annotations[SignatureAnnotation])
			if !ecdsa.VerifyASN1(by.Key, signed[:], raw) || digest(signed).String() != l.Digest {
				t.Fatalf("%+v is by %v", l, by.ID)
			}
			if guessed, ok := l.guess(p.Reference, image, by.ID, signed); ok && (guessed != p || !bytes.Equal(der, raw) && l.Digest != digest(h).String()) {
				t.Fatalf("%+v is taken for %+v", l, guessed)
			}
		}
	})
}

// FuzzAnswer holds for what a registry says: it does not lead elsewhere, and its errors are short and in one line.
func FuzzAnswer(f *testing.F) {
	f.Add(`</v2/app/tags/list?n=1&last=a>; rel="next"`, "5", []byte(`{"errors":[{"code":"DENIED","message":"no"}],"tags":["a"]}`))
	f.Add(`<http://user:pass@10.0.0.1/x>`, "Wed, 21 Oct 2026 07:28:00 GMT", []byte(`{"tags":null}`))
	f.Add("http://[::1", "-1", []byte(`{"errors":[{"code":"a\nb"}]}`))
	f.Add("", "99999999999999999999", []byte(`{`))
	from, err := url.Parse("https://registry.example/v2/app/tags/list?n=1000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header, wait string, body []byte) {
		a := &answer{status: 400, header: http.Header{"Link": {header}, "Location": {header}}, body: body, url: from}
		if next, err := nextPage(a); err == nil && next != nil && (!strings.EqualFold(next.Host, from.Host) || next.Path != from.Path) {
			t.Errorf("the next page is %s", next)
		}
		if to, err := location(a); err == nil {
			if again := elsewhere(from, to); again != nil {
				t.Errorf("an upload goes to %s: %v", to, again)
			}
		}
		if d := retryAfter(wait, time.Unix(0, 0)); d < 0 {
			t.Errorf("the wait is %s", d)
		}
		if text := refused("doing", a, 0).Error(); len(text) > 2000 || strings.ContainsAny(text, "\n\r\x1b") {
			t.Errorf("an error is %q", text)
		}
		_, _ = parseTags(body)
		if image, ok := isSignature(header); ok && image.Algorithm+"-"+image.Hex+suffix != header {
			t.Errorf("%q is the tag of %s", header, image)
		}
	})
}
