{{- define "ss-poc.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ss-poc.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ss-poc.labels" -}}
{{ include "ss-poc.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.image.tag }}
app.kubernetes.io/version: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "ss-poc.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else if .Values.image.tag }}{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- else }}{{ fail "image.tag is empty\n  expected: the name of a version, such as v_1, or image.digest\n  to do: --set image.tag=v_1" }}
{{- end }}
{{- end }}

{{- /* Seconds that a replica may take to stop: preStop, then what the supervisor gives its workers (drain + longest request + 14, see
stop_seconds in serving/supervisor.py), and one more. */ -}}
{{- define "ss-poc.grace" -}}
{{- with .Values.shutdown }}
{{- $needed := add .preStopSeconds .drainSeconds .timeoutSeconds 15 | int64 }}
{{- if kindIs "invalid" .graceSeconds }}{{ $needed }}
{{- else if lt (int64 .graceSeconds) $needed }}
{{- fail (printf "shutdown.graceSeconds is %d\n  expected: at least %d: preStopSeconds (%d) + drainSeconds (%d) + timeoutSeconds (%d) + 15 to end\n  to do: leave graceSeconds null, or lower the others" (int64 .graceSeconds) $needed (int64 .preStopSeconds) (int64 .drainSeconds) (int64 .timeoutSeconds)) }}
{{- else }}{{ int64 .graceSeconds }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What cannot be, though each value alone could. */ -}}
{{- define "ss-poc.check" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.enabled is true, but ingress.host is empty\n  expected: the host name by which the service is called\n  to do: --set ingress.host=segment.plant" }}
{{- end }}
{{- if and (ne .Values.autoscaling.kind "none") (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) }}
{{- fail (printf "autoscaling.maxReplicas is %v\n  expected: at least autoscaling.minReplicas, which is %v" .Values.autoscaling.maxReplicas .Values.autoscaling.minReplicas) }}
{{- end }}
{{- if and .Values.autoscaling.prometheus (ne .Values.autoscaling.kind "keda") }}
{{- fail (printf "autoscaling.prometheus is set, but autoscaling.kind is %s\n  expected: keda, which alone asks Prometheus" .Values.autoscaling.kind) }}
{{- end }}
{{- if and .Values.collect.claim (not .Values.collect.perDay) }}
{{- fail "collect.claim is set, but collect.perDay is 0, so nothing would be kept\n  to do: --set collect.perDay=20" }}
{{- end }}
{{- end }}
