{{- define "ss-poc-jobs.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.kind }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What cannot be, though each value alone could. */ -}}
{{- define "ss-poc-jobs.check" -}}
{{- range $name := list "predict" "runs" }}
{{- with index $.Values $name }}
{{- if gt (int .parallelism) (int .shards) }}
{{- fail (printf "%s.parallelism is %v\n  expected: at most %s.shards, which is %v" $name .parallelism $name .shards) }}
{{- end }}
{{- end }}
{{- end }}
{{- $gpus := include "ss-poc-jobs.gpus" . | int }}
{{- if and $gpus (ne .Values.image.tag "gpu") (eq .Values.image.repository "ss-poc-trainer") }}
{{- fail (printf "%s.gpus is %v, but image.tag is %s, which has no CUDA\n  expected: gpu\n  to do: --set image.tag=gpu, or --set %s.gpus=0" .Values.kind $gpus .Values.image.tag .Values.kind) }}
{{- end }}
{{- if and (hasPrefix "runs" .Values.kind) (not .Values.runs.plan) }}
{{- fail "runs.plan is empty\n  expected: the text of a plan\n  to do: --set-file runs.plan=plan.yaml" }}
{{- end }}
{{- end }}

{{- define "ss-poc-jobs.gpus" -}}
{{- has .Values.kind (list "train" "runs") | ternary (index .Values .Values.kind | default dict).gpus 0 }}
{{- end }}

{{- define "ss-poc-jobs.command" -}}
{{- if eq .Values.kind "train" }}
args: {{ append .Values.train.flags "--reuse" | toJson }}
{{- else if eq .Values.kind "runs" }}
command: [.venv/bin/python, -m, ss_poc.runs, /plan/plan.yaml, --shards, {{ .Values.runs.shards | int64 | toString | quote }}]
{{- else if eq .Values.kind "runs-collect" }}
command: [.venv/bin/python, -m, ss_poc.runs, collect, /plan/plan.yaml]
{{- else if eq .Values.kind "collect" }}
command: [.venv/bin/python, -m, ss_poc.predict, collect, {{ .Values.predict.output | quote }}]
{{- else }}
{{- with .Values.predict }}
command: [.venv/bin/python, -m, ss_poc.predict]
args: {{ concat (list .images "--img_dir_name" .imgDirName "--model_name" .modelName "--output" .output "--shards" (.shards | int64 | toString)) .flags | toJson }}
{{- end }}
{{- end }}
{{- end }}
