{{/* Part of the names of all objects. With the longest suffix, names must stay within 63 letters. */}}
{{- define "docmill.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-docmill" .Release.Name) (contains "docmill" .Release.Name) -}}
{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "docmill.operator" -}}
{{- include "docmill.fullname" . }}-operator
{{- end -}}

{{- define "docmill.metricsApi" -}}
{{- include "docmill.fullname" . }}-metrics-api
{{- end -}}

{{/* Names of objects that belong to no namespace. Releases for one namespace each may share a release name. */}}
{{- define "docmill.clusterName" -}}
{{- include "docmill.operator" . -}}
{{- with .Values.watchNamespace }}-{{ $.Release.Namespace }}-{{ . }}{{ end -}}
{{- end -}}

{{- define "docmill.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "docmill.operator" .) -}}
{{- end -}}

{{/* Labels that select operator pods. They never change: a Deployment's selector cannot. The name is not that of
     pipelines' pods, so that no Service and no NetworkPolicy of a pipeline ever selects an operator. */}}
{{- define "docmill.selector" -}}
app.kubernetes.io/name: docmill-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "docmill.labels" -}}
{{ include "docmill.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Not empty where the metrics API is served. */}}
{{- define "docmill.hasMetricsApi" -}}
{{- if and .Values.metricsApi.enabled (not .Values.watchNamespace) }}yes{{ end -}}
{{- end -}}

{{- define "docmill.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* What the operator may do in every namespace whose pipelines it runs: the verbs are explained one by one in
     docs/reference/rbac.md. */}}
{{- define "docmill.pipelineRules" -}}
- apiGroups: [docmill.dev]
  resources: [ingestionpipelines]
  verbs: [get, list, watch]
- apiGroups: [docmill.dev]
  resources: [ingestionpipelines/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, update, patch]
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts, persistentvolumeclaims]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors, servicemonitors]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
