package replicate

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func loopback() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1)} }

func TestSpecsLimitsAndTheirWords(t *testing.T) {
	good := Spec{ID: 1, Bucket: 2, RemoteBucketName: "b", Remote: Remote{URL: "https://influx.example/x"}}
	tests := []struct {
		change func(*Spec)
		want   string // "" for no error
	}{
		{func(*Spec) {}, ""},
		{func(s *Spec) { s.ID = 0 }, "replication ID is invalid"},
		{func(s *Spec) { s.Bucket = 0 }, "local bucket ID is invalid"},
		{func(s *Spec) { s.RemoteBucketName = "" }, "one of remote_bucket_id, remote_bucket_name should be provided"},
		{func(s *Spec) { s.RemoteBucketName, s.RemoteBucketID = "", "b" }, ""},
		{func(s *Spec) { s.MaxQueueBytes = 33554430 }, ""},
		{func(s *Spec) { s.MaxQueueBytes = 33554429 }, "maxQueueSize too small, must be at least 33554430"},
		{func(s *Spec) { s.MaxAge = 60 * time.Second }, ""},
		{func(s *Spec) { s.MaxAge = 59 * time.Second }, "maxAgeSeconds must be 0 (for the default) or from 60 to 5184000"},
		{func(s *Spec) { s.MaxAge = 5184000 * time.Second }, ""},
		{func(s *Spec) { s.MaxAge = 5184001 * time.Second }, "maxAgeSeconds must be 0 (for the default) or from 60 to 5184000"},
		{func(s *Spec) { s.Order = "random" }, `order "random" is unknown: use "oldest" or "newest"`},
		{func(s *Spec) { s.BytesPerSecond = -1 }, "bytesPerSecond must not be negative"},
		{func(s *Spec) { s.MaxBatchBytes = 100 }, "maxBatchBytes must be from 1024 to 33554432"},
		{func(s *Spec) { s.MaxDelay = 2 * time.Hour }, "maxDelay must be at most 1h0m0s"},
		{func(s *Spec) { s.GzipLevel = 10 }, "gzipLevel must be from -1 to 9"},
		{func(s *Spec) { s.Remote.URL = "influx.example:8086" }, "must start with http:// or https://"},
		{func(s *Spec) { s.Remote.URL = "https://" }, "has no host"},
		{func(s *Spec) { s.Remote.URL = "https://%zz" }, "remote URL cannot be read"},
		{func(s *Spec) { s.Remote.Proxy = "proxy" }, "proxy cannot be read"},
		{func(s *Spec) { s.Remote.KeyFile = "k" }, "needs both the certificate file and the key file"},
	}
	for _, test := range tests {
		s := good
		test.change(&s)
		if err := s.Check(); test.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestRemoteBucketIDWinsOverItsName(t *testing.T) {
	s := Spec{RemoteBucketID: "000000000000000b", RemoteBucketName: "b"}
	if s.remoteBucket() != "000000000000000b" {
		t.Error(s.remoteBucket())
	}
}

func TestDefaultsAreInfluxDBs(t *testing.T) {
	s := Spec{}.withDefaults()
	if s.MaxQueueBytes != 67108860 || s.MaxAge != 7*24*time.Hour || s.Order != OldestFirst {
		t.Errorf("%+v", s)
	}
}
