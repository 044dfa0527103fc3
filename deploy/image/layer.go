package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Program is a program for one platform.
type Program struct {
	Platform v1.Platform
	Bytes    []byte
}

// machines are the ELF machines of the architectures that images are made for.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// openProgram reads a program and checks that it runs on its platform with nothing else in the image.
func openProgram(p v1.Platform, file string) (Program, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Program{}, fmt.Errorf("reading the program for %s: %w", p, err)
	}
	if err := checkStatic(p, b); err != nil {
		return Program{}, fmt.Errorf("%s: %w", file, err)
	}
	return Program{Platform: p, Bytes: b}, nil
}

func checkStatic(p v1.Platform, program []byte) error {
	want, ok := machines[p.Architecture]
	if !ok || p.OS != "linux" {
		return fmt.Errorf("images are made for linux/amd64 and linux/arm64, not for %s", p)
	}
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("not a Linux program: %w", err)
	}
	if f.Machine != want {
		return fmt.Errorf("a program for %s, not for %s", f.Machine, p)
	}
	for _, h := range f.Progs {
		if h.Type == elf.PT_INTERP {
			return errors.New("not a static program: build it with CGO_ENABLED=0")
		}
	}
	return nil
}

// bundles is where systems keep their CA certificates: Debian, Fedora and RHEL, openSUSE, Alpine and macOS.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// certificates reads the CA certificates in a file, or without one this machine's.
func certificates(file string) ([]byte, error) {
	if file == "none" {
		return nil, nil
	}
	if file == "" {
		for _, b := range bundles {
			if _, err := os.Stat(b); err == nil {
				file = b
				break
			}
		}
	}
	if file == "" {
		return nil, errors.New("this machine has no CA certificates; name a file with -ca-certificates, or say none")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificates: %w", err)
	}
	return normalise(text, file)
}

// normalise checks certificates and drops what is not certificates, such as comments.
func normalise(text []byte, file string) ([]byte, error) {
	var out bytes.Buffer
	for n := 1; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: block %d is a %s, which does not belong in an image", file, n, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", file, n, err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("%s has no certificates", file)
	}
	return out.Bytes(), nil
}

// file is an entry of the layer. A name that ends with a slash is a folder.
type file struct {
	name string
	mode int64
	body []byte
}

// files lists the layer in the order in which it is written: every folder before what is in it.
func (s Spec) files(p Program) []file {
	id := fmt.Sprint(nonroot)
	files := []file{
		{"etc/", 0o755, nil},
		{"etc/group", 0o644, []byte("root:x:0:\nnonroot:x:" + id + ":\n")},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:" + id + ":" + id + ":nonroot:/tmp:/sbin/nologin\n")},
	}
	if s.Certificates != nil {
		files = append(files,
			file{"etc/ssl/", 0o755, nil},
			file{"etc/ssl/certs/", 0o755, nil},
			file{"etc/ssl/certs/ca-certificates.crt", 0o644, s.Certificates}) // the first place where Go looks
	}
	return append(files,
		file{"tmp/", 0o1777, nil},
		file{"usr/", 0o755, nil},
		file{"usr/local/", 0o755, nil},
		file{binDir + "/", 0o755, nil},
		file{path.Join(binDir, s.Name), 0o755, p.Bytes})
}

func (s Spec) layer(p Program) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range s.files(p) {
		h := &tar.Header{
			Name: f.name, Mode: f.mode, Size: int64(len(f.body)), ModTime: s.Created,
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR, Uname: "root", Gname: "root",
		}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("writing %s to the layer: %w", f.name, err)
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, fmt.Errorf("writing %s to the layer: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("writing the layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
