package sidecar

import (
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// The files of a sidecar. The agent reads them in the order of their names, and of two tags of a name the later wins: the classes'
// in their order, then those of the raw inputs, then those of the annotations.
const (
	inputsFile    = "inputs.conf"
	generatedFile = "telegraf.conf"
)

// ConfigAnnotation is the key of the annotation that holds a sidecar's generated file.
func ConfigAnnotation(container string) string { return annotation.Written + container + ".conf" }

// InputsAnnotation is the key of the annotation that holds a sidecar's raw inputs.
func InputsAnnotation(container string) string { return annotation.Written + container + ".inputs" }

// classFile is the name of a class's file in a sidecar that has it as its nth.
func classFile(n int, class string) string { return fmt.Sprintf("class-%02d-%s.conf", n, class) }

// The tables of a generated file.
type (
	agentTable struct {
		Interval string `toml:"interval"`
	}
	prometheusInput struct {
		URLs          []string `toml:"urls"`
		Interval      string   `toml:"interval,omitempty"`
		MetricVersion int      `toml:"metric_version,omitzero"`
		NamePass      []string `toml:"namepass,omitempty"`
		Username      string   `toml:"username,omitempty"`
		Password      string   `toml:"password,omitempty"`
		BearerToken   string   `toml:"bearer_token,omitempty"`
		TLSCA         string   `toml:"tls_ca,omitempty"`
		TLSCert       string   `toml:"tls_cert,omitempty"`
		TLSKey        string   `toml:"tls_key,omitempty"`
		TLSServerName string   `toml:"tls_server_name,omitempty"`
		TLSSkipVerify bool     `toml:"insecure_skip_verify,omitempty"`
	}
	// httpInput is what stands for the Prometheus input with the agent holdfast, which does without that one: it carries a client of
	// Kubernetes. The same parser reads what the application says.
	httpInput struct {
		URLs          []string `toml:"urls"`
		DataFormat    string   `toml:"data_format"`
		Interval      string   `toml:"interval,omitempty"`
		MetricVersion int      `toml:"prometheus_metric_version,omitzero"`
		NamePass      []string `toml:"namepass,omitempty"`
		Username      string   `toml:"username,omitempty"`
		Password      string   `toml:"password,omitempty"`
		TokenFile     string   `toml:"token_file,omitempty"`
		TLSCA         string   `toml:"tls_ca,omitempty"`
		TLSCert       string   `toml:"tls_cert,omitempty"`
		TLSKey        string   `toml:"tls_key,omitempty"`
		TLSServerName string   `toml:"tls_server_name,omitempty"`
		TLSSkipVerify bool     `toml:"insecure_skip_verify,omitempty"`
	}
	// discardOutput and healthOutput drop every point before it is buffered.
	discardOutput struct {
		NameDrop []string `toml:"namedrop"`
	}
	healthOutput struct {
		ServiceAddress string   `toml:"service_address"`
		NameDrop       []string `toml:"namedrop"`
	}
	// journalTable is known to the agent holdfast only.
	journalTable struct {
		MaxBytes int64 `toml:"max_bytes"`
	}
)

// generate writes the file that the annotations ask for. It holds no credentials: where there are some, it names a variable or a path.
func (r *request) generate() (string, error) {
	w := &writer{}
	w.text.WriteString("# Generated from the annotations of this pod by holdfast-operator.\n")
	if r.asked.Interval != "" && r.asked.Scrape == nil {
		w.table("[agent]", agentTable{r.asked.Interval})
	}
	switch in := r.prometheus(); {
	case in == nil:
	case r.spec.Agent == v1alpha1.AgentHoldfast:
		w.table("[[inputs.http]]", in.http())
	default:
		w.table("[[inputs.prometheus]]", in)
	}
	if r.internal {
		w.table("[[inputs.internal]]", struct{}{})
	}
	all := []string{"*"}
	switch {
	case r.spec.Agent != v1alpha1.AgentHoldfast:
		// An agent without an output ends. With this one, which is given nothing, it waits for the class's file to appear.
		w.table("[[outputs.discard]]", discardOutput{all})
		if r.spec.HealthPort != 0 {
			w.table("[[outputs.health]]", healthOutput{fmt.Sprintf("http://:%d", r.spec.HealthPort), all})
		}
	case r.spec.Buffer != nil && r.spec.Buffer.Size != nil:
		w.table("[journal]", journalTable{r.spec.Buffer.Size.Value()})
	}
	if tags := r.tagTable(); len(tags) > 0 {
		w.table("[global_tags]", tags)
	}
	return w.text.String(), w.err
}

// writer writes tables one after the other.
type writer struct {
	text strings.Builder
	err  error
}

func (w *writer) table(header string, options any) {
	w.text.WriteString("\n" + header + "\n")
	e := toml.NewEncoder(&w.text)
	e.Indent = ""
	if err := e.Encode(options); err != nil && w.err == nil {
		w.err = fmt.Errorf("writing the table %s: %w", header, err)
	}
}

// Variables and paths that a generated file names for credentials.
const (
	usernameVariable = "HOLDFAST_SCRAPE_USERNAME"
	passwordVariable = "HOLDFAST_SCRAPE_PASSWORD"
	scrapeDirectory  = "/etc/telegraf-scrape"
	bearerDirectory  = scrapeDirectory + "/bearer"
	tlsDirectory     = scrapeDirectory + "/tls"
)

func (r *request) prometheus() *prometheusInput {
	if r.container == IstioName {
		return &prometheusInput{URLs: []string{"http://127.0.0.1:15090/stats/prometheus"}}
	}
	s := r.asked.Scrape
	if s == nil {
		return nil
	}
	in := &prometheusInput{URLs: s.URLs(), Interval: r.asked.Interval, MetricVersion: s.MetricVersion, NamePass: s.NamePass}
	if s.BasicAuthSecret != "" {
		in.Username, in.Password = "${"+usernameVariable+"}", "${"+passwordVariable+"}"
	}
	if s.BearerTokenSecret != "" {
		in.BearerToken = bearerDirectory + "/token"
	}
	if s.Scheme == "https" {
		in.TLSSkipVerify, in.TLSServerName = s.TLSSkipVerify, s.TLSServerName
		if s.TLSSecret != "" {
			in.TLSCA = tlsDirectory + "/ca.crt"
			if s.TLSClient {
				in.TLSCert, in.TLSKey = tlsDirectory+"/tls.crt", tlsDirectory+"/tls.key"
			}
		}
	}
	return in
}

// http is the same input for the agent holdfast.
func (in *prometheusInput) http() *httpInput {
	// The parser's own default is not the Prometheus input's.
	version := max(in.MetricVersion, 1)
	return &httpInput{URLs: in.URLs, DataFormat: "prometheus", Interval: in.Interval, MetricVersion: version, NamePass: in.NamePass,
		Username: in.Username, Password: in.Password, TokenFile: in.BearerToken, TLSCA: in.TLSCA, TLSCert: in.TLSCert, TLSKey: in.TLSKey,
		TLSServerName: in.TLSServerName, TLSSkipVerify: in.TLSSkipVerify}
}

// tagTable returns the tags; a value that the kubelet knows comes by a variable.
func (r *request) tagTable() map[string]string {
	tags := map[string]string{}
	for _, t := range r.asked.Tags {
		if tags[t.Name] = t.Literal; t.From != nil {
			tags[t.Name] = "${" + tagVariable(t.Name) + "}"
		}
	}
	return tags
}

// tagVariable is the name of the variable that carries a tag's value: unambiguous, and of characters that any agent takes in a name.
func tagVariable(tag string) string {
	var b strings.Builder
	b.WriteString("HOLDFAST_TAG_")
	for _, c := range []byte(tag) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}
