package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
)

// storeFlags say how an object store is reached. Where a flag is empty the variable counts that the tools of AWS read.
type storeFlags struct{ snapshot.BucketOptions }

func (f *storeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Endpoint, "s3-endpoint", "", "`URL` of an S3-compatible store (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL); by default Amazon's")
	cmd.Flags().StringVar(&f.Region, "s3-region", "", "`region` of the bucket (AWS_REGION, AWS_DEFAULT_REGION); by default the store is asked")
	cmd.Flags().StringVar(&f.CA, "s3-ca", "", "`file` with certificates that the store's may be from, beside the system's (AWS_CA_BUNDLE)")
	cmd.Flags().BoolVar(&f.PathStyle, "s3-path-style", false, "put the bucket into the path of requests, never into the host's name")
	cmd.Flags().BoolVar(&f.PlainHTTP, "s3-plain-http", false, "let the endpoint be without TLS: whoever can listen reads the snapshots")
}

// store opens a location.
func (a *app) store(location string, f *storeFlags) (snapshot.Store, error) {
	o := f.BucketOptions
	o.Endpoint = cmp.Or(o.Endpoint, a.Getenv("AWS_ENDPOINT_URL_S3"), a.Getenv("AWS_ENDPOINT_URL"))
	o.Region = cmp.Or(o.Region, a.Getenv("AWS_REGION"), a.Getenv("AWS_DEFAULT_REGION"))
	o.CA = cmp.Or(o.CA, a.Getenv("AWS_CA_BUNDLE"))
	s, err := snapshot.Open(location, o)
	if err != nil {
		return nil, fmt.Errorf("the store of snapshots: %w", err)
	}
	return s, nil
}
