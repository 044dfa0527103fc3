{{- define "holdfast-trust.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The service is named after the release, so that the endpoints can be two releases. */}}
{{- define "holdfast-trust.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "holdfast-trust.selector" -}}
app.kubernetes.io/name: {{ include "holdfast-trust.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: serve
{{- end }}

{{- define "holdfast-trust.labels" -}}
{{ include "holdfast-trust.selector" . }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- if not .Values.plain }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- end }}

{{- define "holdfast-trust.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "holdfast-trust.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "holdfast-trust.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "holdfast-trust.configMap" -}}
{{ default (printf "%s-config" (include "holdfast-trust.fullname" .)) .Values.existingConfigMap }}
{{- end }}

{{/* The settings' table vault as JSON; null without one. */}}
{{- define "holdfast-trust.vault" -}}
{{- dig "keys" "vault" nil .Values.settings | toJson }}
{{- end }}

{{/* "true" when the record of the keys is in a ConfigMap: keys in a folder have it beside them. */}}
{{- define "holdfast-trust.stateInCluster" -}}
{{- if or (include "holdfast-trust.vault" . | fromJson) .Values.existingConfigMap }}true{{ end }}
{{- end }}

{{/* "true" when the service looks at what the cluster runs that it runs in. */}}
{{- define "holdfast-trust.resignInCluster" -}}
{{- $wanted := .Values.resign.inCluster }}
{{- range dig "resign" "deployed" list .Values.settings }}
{{- if get . "in-cluster" }}
{{- $wanted = true }}
{{- end }}
{{- end }}
{{- if and $wanted (ne .Values.only "keys") }}true{{ end }}
{{- end }}

{{/* The whole configuration: what the user set, and over it the addresses and paths, which are the chart's. */}}
{{- define "holdfast-trust.settings" -}}
{{- $etc := "/etc/holdfast-trust" }}
{{- $own := dict "data" "/var/lib/holdfast-trust/data" "listen" ":8470" "admin-listen" ":8471" }}
{{- $_ := set $own "tls" (dict "certificate" (printf "%s/tls/tls.crt" $etc) "key" (printf "%s/tls/tls.key" $etc)) }}
{{- if .Values.tls.clientCA }}
{{- $_ := set $own.tls "client-ca" (printf "%s/config/client-ca.crt" $etc) }}
{{- end }}
{{- $access := dict "rules" (printf "%s/config/rules.yaml" $etc) }}
{{- if .Values.tokens.existingSecret }}
{{- $_ := set $access "tokens" (printf "%s/tokens/tokens.json" $etc) }}
{{- end }}
{{- $_ := set $own "access" $access }}
{{- if .Values.registry.ca }}
{{- $_ := set $own "registry" (dict "ca" (printf "%s/config/registry-ca.crt" $etc)) }}
{{- end }}
{{- $vault := include "holdfast-trust.vault" . | fromJson }}
{{- if $vault }}
{{- $more := dict }}
{{- if .Values.vault.ca }}
{{- $_ := set $more "ca" (printf "%s/config/vault-ca.crt" $etc) }}
{{- end }}
{{- if hasKey $vault "kubernetes" }}
{{- $_ := set $more "kubernetes" (dict "jwt-file" "/var/run/secrets/holdfast-trust/token") }}
{{- end }}
{{- $_ := set $own "keys" (dict "vault" $more) }}
{{- $_ := set $own "state" (dict "config-map" (dict "namespace" .Release.Namespace "name" .Values.state.name)) }}
{{- else if .Values.keystore.existingSecret }}
{{- $_ := set $own "keys" (dict "folder" (dict "credential" "key")) }}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy .Values.settings) $own) }}
{{- end }}

{{- define "holdfast-trust.check" -}}
{{- $vault := include "holdfast-trust.vault" . | fromJson }}
{{- if and (gt (int .Values.replicaCount) 1) (not $vault) (not .Values.existingConfigMap) }}
{{- fail "replicaCount is more than 1 and the keys are in a folder, which is one machine's: set settings.keys.vault" }}
{{- end }}
{{- if and .Values.existingConfigMap (or .Values.settings .Values.rules.rules .Values.rules.issuers) }}
{{- fail "existingConfigMap is set: settings and rules are in it, and no values" }}
{{- end }}
{{- if and (not $vault) (not .Values.existingConfigMap) (not .Values.persistence.enabled) }}
{{- fail "the keys are in a folder: without persistence.enabled each new pod would have other keys" }}
{{- end }}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef) }}
{{- fail "tls.certManager.issuerRef is not set: an issuer whose authority clusters can pin is wanted" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host is not set" }}
{{- end }}
{{- end }}
