{{- define "ss-poc.env" -}}
- {name: SS_POC_DRAIN, value: {{ .Values.shutdown.drainSeconds | int64 | quote }}}
- {name: SS_POC_TIMEOUT, value: {{ .Values.shutdown.timeoutSeconds | int64 | quote }}}
- {name: SS_POC_WORKERS, value: {{ .Values.workers | int64 | quote }}}
{{- if .Values.collect.perDay }}
- {name: COLLECT, value: {{ .Values.collect.perDay | int64 | quote }}}
- {name: SS_POC_COLLECT_DAYS, value: {{ .Values.collect.days | int64 | quote }}}
- {name: SS_POC_COLLECT_PATH, value: /collected}
{{- if .Values.collect.claim }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- end }}
{{- if .Values.partRules.configMap }}
- {name: SS_POC_RULES, value: /rules}
{{- end }}
{{- if .Values.token.secret }}
- name: API_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .Values.token.secret }}, key: {{ .Values.token.key }}}}
{{- end }}
{{- range $name, $value := .Values.env }}
- {name: {{ $name }}, value: {{ kindIs "string" $value | ternary $value ($value | int64 | toString) | quote }}}
{{- end }}
{{- range $name, $from := .Values.secretEnv }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $from.secret }}, key: {{ $from.key }}}}
{{- end }}
{{- end }}
