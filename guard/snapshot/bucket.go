package snapshot

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// BucketOptions are how an S3-compatible object store is reached. Credentials come from where the tools of AWS have them: the variables
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the file of shared credentials, or the account of the pod or machine.
type BucketOptions struct {
	// Endpoint is the URL of the store; empty is Amazon's. Its certificate is always verified.
	Endpoint string
	// Region of the bucket; empty asks the store.
	Region string
	// PathStyle puts the bucket into the path of every request, and never into the host's name.
	PathStyle bool
	// CA is a file with the certificates (PEM) that are trusted beside those of the system.
	CA string
	// PlainHTTP lets the endpoint be without TLS: whoever can listen reads the snapshots.
	PlainHTTP bool
}

const (
	amazon = "https://s3.amazonaws.com"
	// attempts bounds how often one request is tried.
	attempts = 5
)

// bucket is a bucket of an object store, with a prefix. A snapshot is the objects prefix/name/file.
type bucket struct {
	client       *minio.Client
	name, prefix string // prefix is empty, or ends in a slash
}

func newBucket(location string, o BucketOptions) (*bucket, error) {
	name, prefix, _ := strings.Cut(location, "/")
	if name == "" || strings.ContainsAny(location, "@?#") {
		return nil, errors.New("a bucket is written s3://bucket/prefix; credentials are no part of it")
	}
	if prefix = strings.Trim(path.Clean("/"+prefix), "/"); prefix != "" {
		prefix += "/"
	}
	if o.Endpoint == "" {
		o.Endpoint = amazon
	}
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.User != nil || strings.Trim(endpoint.Path, "/") != "" {
		return nil, errors.New("the endpoint of the object store is a URL as https://s3.example.org, without credentials and path")
	}
	secure := endpoint.Scheme == "https"
	if !secure && (endpoint.Scheme != "http" || !o.PlainHTTP) {
		return nil, fmt.Errorf("the endpoint %s is not https: snapshots are as confidential as the manifests are", o.Endpoint)
	}
	transport, err := o.transport(secure)
	if err != nil {
		return nil, err
	}
	options := &minio.Options{Secure: secure, Transport: transport, Region: o.Region, MaxRetries: attempts, Creds: chain(o.Endpoint == amazon)}
	if o.PathStyle {
		options.BucketLookup = minio.BucketLookupPath
	}
	b := &bucket{name: name, prefix: prefix}
	if b.client, err = minio.New(endpoint.Host, options); err != nil {
		return nil, fmt.Errorf("the object store %s: %w", o.Endpoint, err)
	}
	b.client.SetAppInfo("holdfast-guard", "")
	return b, nil
}

// chain looks for credentials. The account of the machine is asked for at Amazon only: elsewhere its address answers to nobody.
func chain(machine bool) *credentials.Credentials {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	_, token := os.LookupEnv("AWS_WEB_IDENTITY_TOKEN_FILE")
	_, relative := os.LookupEnv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	_, full := os.LookupEnv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if machine || token || relative || full {
		providers = append(providers, &credentials.IAM{})
	}
	return credentials.NewChainCredentials(append(providers, nobody{}))
}

// nobody ends the chain: without it requests would go out unsigned.
type nobody struct{}

var errNobody = errors.New("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE")

func (nobody) Retrieve() (credentials.Value, error) { return credentials.Value{}, errNobody }
func (nobody) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return credentials.Value{}, errNobody
}
func (nobody) IsExpired() bool { return true }

func (o BucketOptions) transport(secure bool) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil || o.CA == "" {
		return t, err
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of the object store: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", o.CA)
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return t, nil
}

func (b *bucket) key(name, file string) string { return b.prefix + path.Join(name, file) }

func (b *bucket) place(name, file string) string {
	return "s3://" + path.Join(b.name, b.prefix, name, file)
}

func (b *bucket) begin(ctx context.Context, name string) (draft, error) {
	switch there, err := b.has(ctx, name); {
	case err != nil:
		return nil, fmt.Errorf("looking at %s: %w", b.place("", ""), err)
	case there:
		return nil, fmt.Errorf("the snapshot %s is there already: %w", b.place(name, ""), fs.ErrExist)
	}
	return &bucketDraft{b, name, nil}, nil
}

type bucketDraft struct {
	*bucket
	snapshot string
	written  []string // keys
}

// write puts one object, in one request: it is there whole or not at all, and the store compares it with its checksum.
func (d *bucketDraft) write(ctx context.Context, file string, content []byte) error {
	key := d.key(d.snapshot, file)
	d.written = append(d.written, key)
	_, err := d.client.PutObject(ctx, d.name, key, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true, SendContentMd5: true})
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.place(d.snapshot, file), err)
	}
	return nil
}

func (d *bucketDraft) commit(ctx context.Context, header []byte) error {
	err := d.write(ctx, headerFile, header)
	if err == nil {
		d.written = nil
	}
	return err
}

// abandon removes the header first: the store may have it although its answer was lost. Who may not delete leaves the rest, without a
// header.
func (d *bucketDraft) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the caller's may be over
	defer cancel()
	for _, key := range slices.Backward(d.written) {
		if d.client.RemoveObject(ctx, d.name, key, minio.RemoveObjectOptions{}) != nil {
			return
		}
	}
}

func (b *bucket) has(ctx context.Context, name string) (bool, error) {
	_, err := b.client.StatObject(ctx, b.name, b.key(name, headerFile), minio.StatObjectOptions{})
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey {
		return false, nil
	}
	return err == nil, err
}

// folders are the names below the prefix that look like snapshots, in their order.
func (b *bucket) folders(ctx context.Context) (names []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix}) {
		if o.Err != nil {
			return nil, o.Err
		}
		name, isFolder := strings.CutSuffix(strings.TrimPrefix(o.Key, b.prefix), "/")
		if _, ok := snapshotName(name); ok && isFolder {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (b *bucket) names(ctx context.Context) ([]string, error) {
	folders, err := b.folders(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range folders {
		if whole, err := b.has(ctx, name); err != nil {
			return nil, err
		} else if whole {
			names = append(names, name)
		}
	}
	return names, nil
}

func (b *bucket) read(ctx context.Context, name, file string) ([]byte, error) {
	o, err := b.client.GetObject(ctx, b.name, b.key(name, file), minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }() // it is only read
	return readAll(o, b.place(name, file))
}

// remove removes the header, and then the rest.
func (b *bucket) remove(ctx context.Context, name string) error {
	if err := b.client.RemoveObject(ctx, b.name, b.key(name, headerFile), minio.RemoveObjectOptions{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: b.key(name, "") + "/"}) {
		if o.Err != nil {
			return o.Err
		}
		if err := b.client.RemoveObject(ctx, b.name, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bucket) tidy(ctx context.Context, now time.Time) error {
	folders, err := b.folders(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range folders {
		if taken, _ := snapshotName(name); now.Sub(taken) <= 24*time.Hour {
			continue
		}
		if whole, err := b.has(ctx, name); err != nil {
			errs = append(errs, err)
		} else if !whole {
			errs = append(errs, b.remove(ctx, name))
		}
	}
	return errors.Join(errs...)
}
