package signature_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

const someDigest = "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"

func TestAPayloadHasExactlyTheBytesOfTheReference(t *testing.T) {
	p := signature.Payload{Reference: "reg.example/app/web", Digest: digestOf([]byte("foo\n")), Issued: time.Date(2026, 1, 5, 11, 0, 0, 999, time.FixedZone("", 3600)), Key: key.ID{Name: "images", Version: 7}}
	got, err := p.Marshal()
	want := `{"critical":{"identity":{"docker-reference":"reg.example/app/web"},"image":{"docker-manifest-digest":"` + someDigest +
		`"},"type":"cosign container image signature"},"optional":{"issued":"2026-01-05T10:00:00Z","key":"images/7"}}`
	if err != nil || string(got) != want {
		t.Fatalf("%v\n%s\n%s", err, got, want)
	}
	back, err := signature.ParsePayload(got)
	p.Issued = p.Issued.UTC().Truncate(time.Second)
	if err != nil || back != p {
		t.Fatalf("it reads back as %+v, %v", back, err)
	}
}

func TestPayloadsOfCosignAreRead(t *testing.T) {
	for name, optional := range map[string]string{
		"no optional fields":    `null`,
		"an empty object":       `{}`,
		"annotations":           `{"creator":"x","n":1,"nested":{"a":[1]}}`,
		"other types":           `{"issued":17,"key":["images/7"]}`,
		"other texts":           `{"issued":"yesterday","key":"images"}`,
		"a field twice":         `{"a":1,"a":2}`,
		"not even an object":    `[1]`,
		"a time with fractions": `{"issued":"2026-01-05T10:00:00.5+01:00"}`,
	} {
		p, err := signature.ParsePayload(cosignPayload("reg.example/app", someDigest, optional))
		if err != nil || p.Digest.String() != someDigest || p.Reference != "reg.example/app" || p.Key != (key.ID{}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestAPayloadThatTwoReadersCouldReadDifferentlyIsRefused(t *testing.T) {
	good := string(cosignPayload("r", someDigest, "null"))
	other := strings.Replace(someDigest, "b5", "00", 1)
	for name, text := range map[string]string{
		"nothing":                 ``,
		"no object":               `[]`,
		"null":                    `null`,
		"no critical":             `{"optional":{}}`,
		"critical null":           `{"critical":null,"optional":{}}`,
		"another type":            strings.Replace(good, "cosign container image", "atomic container", 1),
		"no type":                 strings.Replace(good, `,"type":"cosign container image signature"`, "", 1),
		"no digest":               strings.Replace(good, `"docker-manifest-digest":"`+someDigest+`"`, "", 1),
		"a short digest":          strings.Replace(good, "sha256:b5", "sha256:", 1),
		"upper case in a digest":  strings.Replace(good, "b5bb", "B5BB", 1),
		"another hash":            strings.Replace(good, "sha256:", "sha512:", 1),
		"the digest twice":        strings.Replace(good, `"image":{`, `"image":{"docker-manifest-digest":"`+other+`",`, 1),
		"the digest in two cases": strings.Replace(good, `"image":{`, `"image":{"Docker-Manifest-Digest":"`+other+`",`, 1),
		"the image twice":         strings.Replace(good, `"image":{`, `"image":{"docker-manifest-digest":"`+other+`"},"image":{`, 1),
		"critical twice":          strings.Replace(good, `{"critical"`, `{"critical":{},"critical"`, 1),
		"critical in two cases":   strings.Replace(good, `{"critical"`, `{"Critical":{},"critical"`, 1),
		"more that is critical":   strings.Replace(good, `"image":{`, `"platform":"arm","image":{`, 1),
		"a digest that is a list": strings.Replace(good, `"`+someDigest+`"`, `["`+someDigest+`"]`, 1),
		"something after it":      good + good,
		"too much":                good + strings.Repeat(" ", signature.MaxPayload),
	} {
		if p, err := signature.ParsePayload([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestAPayloadIsReadUpToItsBoundAndNotBeyond(t *testing.T) {
	good := cosignPayload("r", someDigest, "null")
	fits := string(good) + strings.Repeat(" ", signature.MaxPayload-len(good))
	if _, err := signature.ParsePayload([]byte(fits)); err != nil {
		t.Errorf("what fits is refused: %v", err)
	}
	if _, err := signature.ParsePayload([]byte(fits + " ")); err == nil {
		t.Error("one byte more is read")
	}
	long := signature.Payload{Reference: strings.Repeat("r", signature.MaxPayload), Digest: digestOf(nil)}
	if _, err := long.Marshal(); err == nil {
		t.Error("one that nobody would read is written")
	}
}

// FuzzParsePayload holds for any bytes: what is read names an image by a digest, and whoever reads JSON as verifiers do reads the same.
func FuzzParsePayload(f *testing.F) {
	f.Add(cosignPayload("reg.example/app", someDigest, `{"issued":"2026-01-05T10:00:00Z","key":"images/7"}`))
	f.Add(cosignPayload("reg.example/app", someDigest, `null`))
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"` + someDigest + `"},"type":"cosign container image signature","identity":null}}`))
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"sha256:"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := signature.ParsePayload(text)
		if err != nil {
			return
		}
		var loose struct {
			Critical struct {
				Identity struct {
					Reference string `json:"docker-reference"`
				} `json:"identity"`
				Image struct {
					Digest string `json:"docker-manifest-digest"`
				} `json:"image"`
				Type string `json:"type"`
			} `json:"critical"`
		}
		if err := json.Unmarshal(text, &loose); err != nil {
			t.Fatalf("others cannot read it: %v", err)
		}
		if loose.Critical.Image.Digest != p.Digest.String() || loose.Critical.Identity.Reference != p.Reference || loose.Critical.Type != "cosign container image signature" {
			t.Fatalf("others read %+v, and not %+v", loose, p)
		}
		again, err := p.Marshal()
		if err != nil {
			if len(p.Reference) > signature.MaxPayload/8 || p.Issued.Year() > 9999 {
				return
			}
			t.Fatal(err)
		}
		back, err := signature.ParsePayload(again)
		if err != nil || back != p {
			t.Fatalf("written again it is %+v, %v, and not %+v", back, err, p)
		}
	})
}
