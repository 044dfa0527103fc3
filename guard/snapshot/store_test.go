package snapshot

import (
	"strings"
	"testing"
)

func TestALocationIsAFolderOrABucketWithoutCredentials(t *testing.T) {
	for location, want := range map[string]string{
		"backup/a": "backup/a", "/backup/a/": "/backup/a", "s3://b": "s3://b", "s3://b/": "s3://b", "s3://b/x//y/": "s3://b/x/y", "s3://b/../x": "s3://b/x",
	} {
		if s, err := Open(location, BucketOptions{}); err != nil || s.place("", "") != want {
			t.Errorf("%s: %v, %v", location, s, err)
		}
	}
	for _, c := range []struct {
		location string
		o        BucketOptions
	}{
		{"", BucketOptions{}}, {"gs://b/x", BucketOptions{}}, {"s3://", BucketOptions{}}, {"s3:///x", BucketOptions{}}, {"s3://key:hunter22@b/x", BucketOptions{}},
		{"s3://b", BucketOptions{Endpoint: "s3.example.org"}}, {"s3://b", BucketOptions{Endpoint: "https://key:hunter22@s3.example.org"}},
		{"s3://b", BucketOptions{Endpoint: "http://s3.example.org"}}, {"s3://b", BucketOptions{Endpoint: "https://s3.example.org/b"}},
		{"s3://b", BucketOptions{CA: "/nowhere/ca.crt"}}, {"s3://b", BucketOptions{CA: "store_test.go"}},
	} {
		if s, err := Open(c.location, c.o); err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%+v: %v, %v", c, s, err)
		}
	}
	if _, err := Open("s3://b", BucketOptions{Endpoint: "http://s3.example.org", PlainHTTP: true}); err != nil {
		t.Error(err)
	}
}
