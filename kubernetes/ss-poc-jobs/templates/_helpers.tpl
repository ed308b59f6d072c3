{{- define "ss-poc-jobs.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .Values.kind }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What cannot be, though each value alone could. */ -}}
{{- define "ss-poc-jobs.check" -}}
{{- with .Values.predict }}
{{- if gt (int .parallelism) (int .shards) }}
{{- fail (printf "predict.parallelism is %v\n  expected: at most predict.shards, which is %v" .parallelism .shards) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.kind "train") .Values.train.gpus (ne .Values.image.tag "gpu") (eq .Values.image.repository "ss-poc-trainer") }}
{{- fail (printf "train.gpus is %v, but image.tag is %s, which has no CUDA\n  expected: gpu\n  to do: --set image.tag=gpu, or --set train.gpus=0" .Values.train.gpus .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "ss-poc-jobs.command" -}}
{{- if eq .Values.kind "train" }}
args: {{ append .Values.train.flags "--reuse" | toJson }}
{{- else if eq .Values.kind "collect" }}
command: [.venv/bin/python, -m, ss_poc.predict, collect, {{ .Values.predict.output | quote }}]
{{- else }}
{{- with .Values.predict }}
command: [.venv/bin/python, -m, ss_poc.predict]
args: {{ concat (list .images "--img_dir_name" .imgDirName "--model_name" .modelName "--output" .output "--shards" (.shards | int64 | toString)) .flags | toJson }}
{{- end }}
{{- end }}
{{- end }}
