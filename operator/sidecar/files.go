package sidecar

import (
	"bytes"
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

// The tables of a generated file, written in the order of their fields.
type (
	file struct {
		Agent  *agentTable       `toml:"agent,omitempty"`
		Inputs *inputTables      `toml:"inputs,omitempty"`
		Output *outputTables     `toml:"outputs,omitempty"`
		Tags   map[string]string `toml:"global_tags,omitempty"`
		// Journal is a table of the agent holdfast only.
		Journal *journalTable `toml:"journal,omitempty"`
	}
	agentTable struct {
		Interval string `toml:"interval"`
	}
	inputTables struct {
		Prometheus []prometheusInput `toml:"prometheus,omitempty"`
		Internal   []struct{}        `toml:"internal,omitempty"`
	}
	prometheusInput struct {
		URLs          []string `toml:"urls"`
		Interval      string   `toml:"interval,omitempty"`
		MetricVersion int      `toml:"metric_version,omitempty"`
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
	outputTables struct {
		Discard []discardOutput `toml:"discard,omitempty"`
		Health  []healthOutput  `toml:"health,omitempty"`
	}
	discardOutput struct {
		NameDrop []string `toml:"namedrop"`
	}
	healthOutput struct {
		ServiceAddress string   `toml:"service_address"`
		NameDrop       []string `toml:"namedrop"`
	}
	journalTable struct {
		MaxBytes int64 `toml:"max_bytes"`
	}
)

const generatedHead = "# Generated from the annotations of this pod by holdfast-operator.\n\n"

// generate writes the file that the annotations ask for. It holds no credentials: where there are some, it names a variable or a path.
func (r *request) generate() (string, error) {
	f := file{Tags: r.tagTable()}
	if in := (inputTables{Prometheus: r.prometheus()}); r.internal {
		in.Internal = []struct{}{{}}
		f.Inputs = &in
	} else if in.Prometheus != nil {
		f.Inputs = &in
	}
	if r.asked.Interval != "" && r.asked.Scrape == nil {
		f.Agent = &agentTable{Interval: r.asked.Interval}
	}
	if r.spec.Agent == v1alpha1.AgentHoldfast {
		if b := r.spec.Buffer; b != nil && b.Size != nil {
			f.Journal = &journalTable{MaxBytes: b.Size.Value()}
		}
	} else {
		// An agent without an output ends. With this one, which is given nothing, it waits for the class's file to appear.
		f.Output = &outputTables{Discard: []discardOutput{{NameDrop: []string{"*"}}}}
		if r.spec.HealthPort != 0 {
			f.Output.Health = []healthOutput{{ServiceAddress: fmt.Sprintf("http://:%d", r.spec.HealthPort), NameDrop: []string{"*"}}}
		}
	}
	var b bytes.Buffer
	b.WriteString(generatedHead)
	if err := toml.NewEncoder(&b).Encode(f); err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	return b.String(), nil
}

// Variables and paths that a generated file names for credentials.
const (
	usernameVariable = "HOLDFAST_SCRAPE_USERNAME"
	passwordVariable = "HOLDFAST_SCRAPE_PASSWORD"
	scrapeDirectory  = "/etc/telegraf-scrape"
	bearerDirectory  = scrapeDirectory + "/bearer"
	tlsDirectory     = scrapeDirectory + "/tls"
)

func (r *request) prometheus() []prometheusInput {
	if r.container == IstioName {
		return []prometheusInput{{URLs: []string{"http://127.0.0.1:15090/stats/prometheus"}}}
	}
	s := r.asked.Scrape
	if s == nil {
		return nil
	}
	in := prometheusInput{URLs: s.URLs(), Interval: r.asked.Interval, MetricVersion: s.MetricVersion, NamePass: s.NamePass}
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
	return []prometheusInput{in}
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
