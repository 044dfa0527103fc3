package collect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/plugins/common/tls"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

// Destination is what an output asks for: a place that everything collected is replicated to.
type Destination struct {
	// Name identifies the destination, and with it its position, for good: the output's alias, or else its type with
	// organization and bucket (or database), joined by `/`; a second one of the same name gets `#2` and so on in file order.
	// It does not depend on URLs, tokens or other options, so that these can change without starting over.
	Name string
	// Kind is the output's plugin: influxdb_v2 or influxdb.
	Kind string
	File string
	Line int

	URLs []string // tried in turn; never empty

	// Token, Org and Bucket are for influxdb_v2.
	Token       conf.Secret
	Org, Bucket string

	// Database, RetentionPolicy, Username and Password are for influxdb.
	Database, RetentionPolicy string
	Username, Password        conf.Secret
	// SkipCreate says that a missing database is not to be created.
	SkipCreate bool

	Timeout   time.Duration // of one request
	Headers   map[string]conf.Secret
	Proxy     conf.Secret // URL of an HTTP proxy
	UserAgent string
	Gzip      bool
	// BytesPerSecond limits what is sent; 0 does not.
	BytesPerSecond int64
	// TLS is nil when the output has no settings for it.
	TLS *TLS
}

// TLS are the options of an output with the same names, `tls_ca` and so on. Paths are as written.
type TLS struct {
	CA, Cert, Key, ServerName, MinVersion string
	KeyPassword                           conf.Secret
	InsecureSkipVerify                    bool
}

// output is a decoded table of an output.
type output struct {
	table *conf.Table
	v2    *influxV2
	v1    *influxV1
}

// supportedOutputs can be destinations today.
var supportedOutputs = []string{"influxdb_v2", "influxdb"}

// shared are the options of both outputs.
type shared struct {
	Alias           string            `toml:"alias"`
	URLs            []string          `toml:"urls"`
	Timeout         config.Duration   `toml:"timeout"`
	Proxy           string            `toml:"http_proxy"`
	UserAgent       string            `toml:"user_agent"`
	ContentEncoding string            `toml:"content_encoding"`
	UintSupport     bool              `toml:"influx_uint_support"`
	Labels          map[string]string `toml:"labels"`
	tls.ClientConfig
	withoutEffect
	refused
}

// withoutEffect are options that were about Telegraf's buffer; the journal takes its place.
type withoutEffect struct {
	FlushInterval     any `toml:"flush_interval"`
	FlushJitter       any `toml:"flush_jitter"`
	MetricBatchSize   any `toml:"metric_batch_size"`
	MetricBufferLimit any `toml:"metric_buffer_limit"`
	BufferStrategy    any `toml:"buffer_strategy"`
	BufferDirectory   any `toml:"buffer_directory"`
	BufferDiskSync    any `toml:"buffer_disk_sync"`
	Startup           any `toml:"startup_error_behavior"`
	LogLevel          any `toml:"log_level"`
	Concurrent        any `toml:"concurrent_writes"`
	PingTimeout       any `toml:"ping_timeout"`
	ReadIdleTimeout   any `toml:"read_idle_timeout"`
	LocalAddress      any `toml:"local_address"`
	UDPPayload        any `toml:"udp_payload"`
	WriteConsistency  any `toml:"write_consistency"`
	Interval          any `toml:"interval"`
}

// refused are options that change what arrives at the destination, which a replication of a whole bucket cannot do.
type refused struct {
	NamePass      any `toml:"namepass"`
	NamePassSep   any `toml:"namepass_separator"`
	NameDrop      any `toml:"namedrop"`
	NameDropSep   any `toml:"namedrop_separator"`
	TagPass       any `toml:"tagpass"`
	TagDrop       any `toml:"tagdrop"`
	MetricPass    any `toml:"metricpass"`
	FieldInclude  any `toml:"fieldinclude"`
	FieldExclude  any `toml:"fieldexclude"`
	FieldPass     any `toml:"fieldpass"`
	FieldDrop     any `toml:"fielddrop"`
	Pass          any `toml:"pass"`
	Drop          any `toml:"drop"`
	TagInclude    any `toml:"taginclude"`
	TagExclude    any `toml:"tagexclude"`
	NameOverride  any `toml:"name_override"`
	NamePrefix    any `toml:"name_prefix"`
	NameSuffix    any `toml:"name_suffix"`
	OmitTimestamp any `toml:"influx_omit_timestamp"`
	BucketTag     any `toml:"bucket_tag"`
	DatabaseTag   any `toml:"database_tag"`
	RetentionTag  any `toml:"retention_policy_tag"`
	ExcludeBucket any `toml:"exclude_bucket_tag"`
	ExcludeDB     any `toml:"exclude_database_tag"`
	ExcludeRPTag  any `toml:"exclude_retention_policy_tag"`
}

type influxV2 struct {
	shared
	Token        config.Secret             `toml:"token"`
	Organization string                    `toml:"organization"`
	Bucket       string                    `toml:"bucket"`
	Headers      map[string]*config.Secret `toml:"http_headers"`
	RateLimit    config.Size               `toml:"rate_limit"`
	RatePeriod   config.Duration           `toml:"rate_limit_period"`
}

type influxV1 struct {
	shared
	Database        string                 `toml:"database"`
	RetentionPolicy string                 `toml:"retention_policy"`
	Username        config.Secret          `toml:"username"`
	Password        config.Secret          `toml:"password"`
	Headers         map[string]conf.Secret `toml:"http_headers"`
	SkipCreation    bool                   `toml:"skip_database_creation"`
}

func decodeOutput(t *conf.Table) (*output, error) {
	out := &output{table: t}
	var options *shared
	var err error
	switch {
	case len(t.Path) == 2 && t.Path[1] == "influxdb_v2":
		out.v2 = &influxV2{}
		options, err = &out.v2.shared, t.Decode(out.v2)
	case len(t.Path) == 2 && t.Path[1] == "influxdb":
		out.v1 = &influxV1{}
		options, err = &out.v1.shared, t.Decode(out.v1)
	default:
		return nil, t.Errorf("", "the output %s is not supported yet; an output can be %s", t.Name(), strings.Join(supportedOutputs, " or "))
	}
	if err != nil {
		return nil, err
	}
	if keys := given(options.refused); len(keys) > 0 {
		return nil, t.Errorf(keys[0], "%s.%s is not supported: an output replicates the whole bucket; filter and rename at the inputs or with a processor", t.Name(), keys[0])
	}
	for _, u := range options.URLs {
		if !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
			return nil, t.Errorf("urls", "%s.urls: only http:// and https:// URLs are supported", t.Name())
		}
	}
	switch options.ContentEncoding {
	case "", "gzip", "identity":
	default:
		return nil, t.Errorf("content_encoding", "%s.content_encoding must be gzip or identity, not %q", t.Name(), options.ContentEncoding)
	}
	return out, nil
}

// given returns the keys of v, a struct of empty interfaces, that the table had.
func given(v any) []string {
	var keys []string
	rv := reflect.ValueOf(v)
	for i := range rv.NumField() {
		if !rv.Field(i).IsNil() {
			keys = append(keys, rv.Type().Field(i).Tag.Get("toml"))
		}
	}
	return keys
}

// addDestinations names the outputs and reads their secrets, which are linked by now.
func (c *Config) addDestinations(outputs []*output) error {
	aliases := map[string]int{}
	used := map[string]int{}
	for _, out := range outputs {
		d, err := out.destination()
		if err != nil {
			return out.table.Wrap(err)
		}
		options := out.shared()
		if alias := options.Alias; alias != "" {
			if line, twice := aliases[alias]; twice {
				return out.table.Errorf("alias", "two outputs have the alias %q (the other in line %d); it names the position, so each needs its own", alias, line)
			}
			aliases[alias] = out.table.Line
			d.Name = alias
		}
		if used[d.Name]++; used[d.Name] > 1 {
			d.Name = fmt.Sprintf("%s#%d", d.Name, used[d.Name])
		}
		c.Destinations = append(c.Destinations, d)
		for _, key := range given(options.withoutEffect) {
			c.Notes = append(c.Notes, fmt.Sprintf("%s:%d: %s.%s has no effect: the journal takes the place of the output's buffer", d.File, out.table.LineOf(key), out.table.Name(), key))
		}
	}
	c.chooseUnsigned(outputs)
	return nil
}

// chooseUnsigned keeps unsigned integers when all outputs ask for them. A bucket has one type for a field, so one that
// does not ask decides for all.
func (c *Config) chooseUnsigned(outputs []*output) {
	refuses := func(out *output) bool { return !out.shared().UintSupport }
	c.unsigned = len(outputs) > 0 && !slices.ContainsFunc(outputs, refuses)
	if asks := slices.IndexFunc(outputs, func(out *output) bool { return !refuses(out) }); asks >= 0 && !c.unsigned {
		t := outputs[asks].table
		c.Notes = append(c.Notes, fmt.Sprintf("%s:%d: %s.influx_uint_support has no effect because another output does not set it", t.File, t.LineOf("influx_uint_support"), t.Name()))
	}
}

func (out *output) shared() *shared {
	if out.v2 != nil {
		return &out.v2.shared
	}
	return &out.v1.shared
}

func (out *output) destination() (Destination, error) {
	s := out.shared()
	d := Destination{
		Kind: out.table.Path[1], File: out.table.File, Line: out.table.Line,
		URLs: s.URLs, Timeout: time.Duration(s.Timeout), Proxy: conf.Secret(s.Proxy), UserAgent: s.UserAgent,
		Gzip: s.ContentEncoding != "identity", Headers: map[string]conf.Secret{}, TLS: s.tls(),
	}
	if len(d.URLs) == 0 {
		d.URLs = []string{"http://localhost:8086"}
	}
	if d.Timeout == 0 {
		d.Timeout = 5 * time.Second
	}
	var err error
	if out.v2 != nil {
		err = out.v2.fill(&d)
	} else {
		err = out.v1.fill(&d)
	}
	return d, err
}

func (o *influxV2) fill(d *Destination) (err error) {
	d.Org, d.Bucket = o.Organization, o.Bucket
	d.Name = strings.Join([]string{d.Kind, o.Organization, o.Bucket}, "/")
	if o.Bucket == "" {
		return fmt.Errorf("outputs.influxdb_v2 needs a bucket")
	}
	if o.RateLimit > 0 {
		if o.RatePeriod <= 0 {
			return fmt.Errorf("outputs.influxdb_v2: rate_limit needs a rate_limit_period greater than 0")
		}
		d.BytesPerSecond = max(1, int64(float64(o.RateLimit)/time.Duration(o.RatePeriod).Seconds()))
	}
	for name, value := range o.Headers {
		if d.Headers[name], err = reveal(value); err != nil {
			return fmt.Errorf("http_headers.%s: %w", name, err)
		}
	}
	if d.Token, err = reveal(&o.Token); err != nil {
		return fmt.Errorf("token: %w", err)
	}
	return nil
}

func (o *influxV1) fill(d *Destination) (err error) {
	d.Database, d.RetentionPolicy, d.SkipCreate = o.Database, o.RetentionPolicy, o.SkipCreation
	if d.Database == "" {
		d.Database = "telegraf"
	}
	d.Name = strings.TrimSuffix(strings.Join([]string{d.Kind, d.Database, d.RetentionPolicy}, "/"), "/")
	for name, value := range o.Headers {
		d.Headers[name] = value
	}
	if d.Username, err = reveal(&o.Username); err != nil {
		return fmt.Errorf("username: %w", err)
	}
	if d.Password, err = reveal(&o.Password); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	return nil
}

// reveal reads a secret of Telegraf's.
func reveal(s *config.Secret) (conf.Secret, error) {
	if s.Empty() {
		return "", nil
	}
	buf, err := s.Get()
	if err != nil {
		return "", err
	}
	defer buf.Destroy()
	return conf.Secret(buf.String()), nil
}

func (s *shared) tls() *TLS {
	t := TLS{
		CA: s.TLSCA, Cert: s.TLSCert, Key: s.TLSKey, ServerName: s.ServerName, MinVersion: s.TLSMinVersion,
		KeyPassword: conf.Secret(s.TLSKeyPwd), InsecureSkipVerify: s.InsecureSkipVerify,
	}
	if t == (TLS{}) {
		return nil
	}
	return &t
}
