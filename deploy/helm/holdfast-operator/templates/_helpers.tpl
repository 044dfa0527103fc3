{{- define "holdfast-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* There is one operator in a cluster, so the name does not follow the release's. */}}
{{- define "holdfast-operator.fullname" -}}
{{- default "holdfast-operator" .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "holdfast-operator.selector" -}}
app.kubernetes.io/name: {{ include "holdfast-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "holdfast-operator.nodesSelector" -}}
app.kubernetes.io/name: {{ include "holdfast-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: nodes
{{- end }}

{{- define "holdfast-operator.commonLabels" -}}
app.kubernetes.io/part-of: holdfast
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- if not .Values.plain }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- end }}

{{- define "holdfast-operator.labels" -}}
{{ include "holdfast-operator.selector" . }}
{{ include "holdfast-operator.commonLabels" . }}
{{- end }}

{{- define "holdfast-operator.nodesLabels" -}}
{{ include "holdfast-operator.nodesSelector" . }}
{{ include "holdfast-operator.commonLabels" . }}
{{- end }}

{{- define "holdfast-operator.image" -}}
{{- if hasSuffix "/telegraf-operator" .Values.image.repository }}
{{- fail "image.repository is telegraf-operator's: leave it out of the values that were copied" }}
{{- end }}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "holdfast-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "holdfast-operator.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "holdfast-operator.classesSecret" -}}
{{ default .Values.classes.secretName .Values.classes.existingSecret }}
{{- end }}

{{- define "holdfast-operator.sidecarImage" -}}
{{ default .Values.sidecar.image .Values.image.sidecarImage }}
{{- end }}

{{/* "true" or nothing. */}}
{{- define "holdfast-operator.certManager" -}}
{{- if or .Values.certManager.enabled .Values.certManager.enable }}true{{ end }}
{{- end }}

{{- define "holdfast-operator.watchConfig" -}}
{{- if kindIs "bool" .Values.hotReload -}}
{{ ternary "notify" "off" .Values.hotReload }}
{{- else -}}
{{ include "holdfast-operator.word" .Values.sidecar.watchConfig }}
{{- end }}
{{- end }}

{{- define "holdfast-operator.nodesNamespace" -}}
{{ default .Release.Namespace .Values.daemonset.namespace }}
{{- end }}

{{/* The flags of resources: prefix, and a resources value in which an empty text means none. */}}
{{- define "holdfast-operator.resourceFlags" -}}
{{- $prefix := .prefix }}
{{- $skipEmpty := .skipEmpty }}
{{- $all := .resources }}
{{- range $kind := list "requests" "limits" }}
{{- range $what := list "cpu" "memory" }}
{{- $group := get $all $kind | default dict }}
{{- if hasKey $group $what }}
{{- $value := get $group $what | toString }}
{{- if or $value (not $skipEmpty) }}
- --{{ $prefix }}-{{ $kind }}-{{ $what }}={{ $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* YAML reads the word off as false. */}}
{{- define "holdfast-operator.word" -}}
{{- if kindIs "bool" . }}off{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "holdfast-operator.recheck" -}}
{{ include "holdfast-operator.word" .Values.recheck.mode }}
{{- end }}

{{/* Releases from before there was a choice have no such value, and keep theirs with --reuse-values. */}}
{{- define "holdfast-operator.deliveryObject" -}}
{{ default "Secret" .Values.delivery.object }}
{{- end }}

{{/* The rule for what class texts are delivered in. */}}
{{- define "holdfast-operator.deliveryRule" -}}
- apiGroups: [""]
  resources: [{{ include "holdfast-operator.deliveryObject" . | lower }}s]
  resourceNames: [holdfast-classes]
  verbs: [get, list, watch, create, patch, update, delete]
{{- end }}

{{/* Where Roles for delivery are needed, as JSON: none when the ClusterRole has the rule. */}}
{{- define "holdfast-operator.deliveryNamespaces" -}}
{{- $all := .Values.delivery.namespaces }}
{{- $nodes := include "holdfast-operator.nodesNamespace" . }}
{{- if and $all .Values.daemonset.enabled (ne $nodes .Release.Namespace) }}
{{- $all = append $all $nodes | uniq }}
{{- end }}
{{- toJson $all }}
{{- end }}

{{/* The names of the webhook configurations, as JSON. The second is for Istio, and has to sort after "istio". */}}
{{- define "holdfast-operator.webhooks" -}}
{{- $name := include "holdfast-operator.fullname" . }}
{{- $all := list $name }}
{{- if .Values.istio.enabled }}
{{- $all = append $all (printf "mesh.%s" $name) }}
{{- end }}
{{- toJson $all }}
{{- end }}

{{/* The condition in CEL that a pod has an annotation of ours. */}}
{{- define "holdfast-operator.annotated" -}}
has(object.metadata.annotations) && object.metadata.annotations.exists(k,
k.startsWith('telegraf.influxdata.com/') || k.startsWith('holdfast.dev/') || k.contains('.holdfast.dev/'))
{{- end }}

{{/* A container that asks the sidecars' own agent whether a class is right. It has no token, and what it is asked about stays in memory. */}}
{{- define "holdfast-operator.checker" }}
        - name: {{ .name }}
          image: {{ .image }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: [/checker/holdfast-operator]
          args: [checker, --socket, /checker/{{ .socket }}, --agent, {{ .agent }}]
          env:
            - name: HOME
              value: /tmp
          securityContext:
            {{- toYaml .root.Values.securityContext | nindent 12 }}
          resources:
            {{- toYaml .root.Values.checker.resources | nindent 12 }}
          volumeMounts:
            - name: checker
              mountPath: /checker
            - name: tmp
              mountPath: /tmp
{{- end }}
