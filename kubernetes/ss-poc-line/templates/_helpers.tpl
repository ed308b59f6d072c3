{{- define "line.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "line.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "line.labels" -}}
{{ include "line.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "line.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else if .Values.image.tag }}{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- else }}{{ fail "image.tag is empty\n  expected: the tag of the image of Dockerfile.line, or image.digest\n  to do: --set image.tag=1" }}
{{- end }}
{{- end }}

{{- /* What listens: the page, and what else the values name. */ -}}
{{- define "line.ports" -}}
{{- if hasKey .Values.settings "page" }}
- {name: page, port: {{ dig "page" "port" 8896 .Values.settings | int64 }}}
{{- end }}
{{- range .Values.ports }}
- {name: {{ .name }}, port: {{ .port | int64 }}}
{{- end }}
{{- end }}

{{- /* What cannot be, though each value alone could. */ -}}
{{- define "line.check" -}}
{{- if not .Values.settings }}
{{- fail "settings is empty\n  expected: what line.yaml holds (docs/line.md)\n  to do: --values FILE, with settings: {line: …}" }}
{{- end }}
{{- if and (hasKey .Values.settings "page") (ne (dig "page" "host" "" .Values.settings) "0.0.0.0") }}
{{- fail "settings.page.host is not 0.0.0.0, so nobody could reach the page\n  expected: 0.0.0.0\n  to do: write it, and give the page a token" }}
{{- end }}
{{- end }}
