{{- define "holdfast-trust-sync.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* There is one agent in a cluster, so the name does not follow the release's. */}}
{{- define "holdfast-trust-sync.fullname" -}}
{{- default "holdfast-trust-sync" .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "holdfast-trust-sync.selector" -}}
app.kubernetes.io/name: {{ include "holdfast-trust-sync.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: sync
{{- end }}

{{- define "holdfast-trust-sync.labels" -}}
{{ include "holdfast-trust-sync.selector" . }}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- if not .Values.plain }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- end }}

{{- define "holdfast-trust-sync.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "holdfast-trust-sync.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "holdfast-trust-sync.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* "true" when the endpoint is described by an object of the user's. */}}
{{- define "holdfast-trust-sync.existing" -}}
{{- if or .Values.keys.existingConfigMap .Values.keys.existingSecret }}true{{ end }}
{{- end }}

{{- define "holdfast-trust-sync.check" -}}
{{- if and .Values.selftest.repository (or .Values.selftest.good .Values.selftest.bad) }}
{{- fail "selftest.repository is set: the images of the self-test are found there, and selftest.good and selftest.bad not wanted" }}
{{- end }}
{{- if and .Values.keys.existingConfigMap .Values.keys.existingSecret }}
{{- fail "keys.existingConfigMap and keys.existingSecret are both set: one of them is wanted" }}
{{- end }}
{{- if include "holdfast-trust-sync.existing" . }}
{{- if or .Values.keys.url .Values.keys.pins .Values.keys.ca .Values.selftest.good .Values.selftest.bad }}
{{- fail "keys.existing… is set: url, pins, ca and the images of the self-test are entries of that object, and no values" }}
{{- end }}
{{- else }}
{{- if not .Values.keys.url }}
{{- fail "keys.url is not set: it is where the key list is, such as https://trust.example/v1/keys" }}
{{- end }}
{{- if not .Values.keys.pins }}
{{- fail "keys.pins is empty: a list key is wanted, in PEM, as \"holdfast-trust keys pin\" prints it" }}
{{- end }}
{{- if and .Values.selftest.enabled (not .Values.selftest.repository) (not (and .Values.selftest.good .Values.selftest.bad)) }}
{{- fail "selftest.repository is wanted, or selftest.good and selftest.bad: images by digest. Without any, set selftest.enabled=false, and nothing shows that this cluster refuses what it must" }}
{{- end }}
{{- end }}
{{- end }}
