{{- define "trommel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Alloy has trommel's name with its own behind it, unless the release is called trommel. */ -}}
{{- define "trommel.alloyName" -}}
{{- $name := include "trommel.fullname" . -}}
{{- if eq $name "trommel" -}}alloy{{- else -}}{{ $name | trunc 57 }}-alloy{{- end -}}
{{- end -}}

{{- define "trommel.image" -}}
{{- $image := .image -}}
{{- with $image.registry -}}{{ . }}/{{- end -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ default .tag $image.tag }}{{- end -}}
{{- end -}}

{{- define "trommel.selectorLabels" -}}
app.kubernetes.io/part-of: trommel
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "trommel.labels" -}}
app.kubernetes.io/part-of: trommel
{{ include "trommel.commonLabels" . }}
{{- end -}}

{{- define "trommel.commonLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "trommel.isCentral" -}}
{{- if eq .Values.shape "central" -}}yes{{- end -}}
{{- end -}}

{{- /* The container, written once for both shapes. */ -}}
{{- define "trommel.container" -}}
{{- $scheme := ternary "HTTPS" "HTTP" .Values.tls.enabled -}}
{{- $pushTls := and .Values.tls.enabled (include "trommel.isCentral" .) -}}
- name: trommel
  image: {{ include "trommel.image" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [run, --config, /etc/trommel/config/trommel.yaml]
  env:
    - {name: TROMMEL_DATA, value: /var/lib/trommel}
    # As many threads as it gets CPU, not as many as the node has: each keeps caches of its own.
    - {name: TOKIO_WORKER_THREADS, value: "2"}
    {{- if include "trommel.isCentral" . }}
    - {name: TROMMEL_LISTEN, value: 0.0.0.0:3101}
    {{- end }}
    {{- if .Values.tls.enabled }}
    - {name: TROMMEL_ADMIN_CERT_FILE, value: /etc/trommel/tls/tls.crt}
    - {name: TROMMEL_ADMIN_KEY_FILE, value: /etc/trommel/tls/tls.key}
    {{- end }}
    {{- if $pushTls }}
    - {name: TROMMEL_PUSH_CERT_FILE, value: /etc/trommel/tls/tls.crt}
    - {name: TROMMEL_PUSH_KEY_FILE, value: /etc/trommel/tls/tls.key}
    - {name: TROMMEL_PUSH_TOKEN_FILES, value: /etc/trommel/push/token}
    {{- end }}
    {{- with .Values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: admin, containerPort: 3102, protocol: TCP}
    {{- if include "trommel.isCentral" . }}
    - {name: push, containerPort: 3101, protocol: TCP}
    {{- end }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  # None depends on NATS: findings wait on disk while it is away.
  startupProbe:
    httpGet: {path: /livez, port: admin, scheme: {{ $scheme }}}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /livez, port: admin, scheme: {{ $scheme }}}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: admin, scheme: {{ $scheme }}}
    periodSeconds: 5
    timeoutSeconds: 2
    failureThreshold: 2
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    - {name: trommel-config, mountPath: /etc/trommel/config, readOnly: true}
    - {name: trommel-rules, mountPath: /etc/trommel/rules, readOnly: true}
    - {name: trommel-admin, mountPath: /etc/trommel/admin, readOnly: true}
    - {name: trommel-nats, mountPath: /etc/trommel/nats, readOnly: true}
    - {name: trommel-data, mountPath: /var/lib/trommel}
    {{- if .Values.tls.enabled }}
    - {name: trommel-tls, mountPath: /etc/trommel/tls, readOnly: true}
    {{- end }}
    {{- if $pushTls }}
    - {name: trommel-push, mountPath: /etc/trommel/push, readOnly: true}
    {{- end }}
    {{- with .Values.mounts.extra }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "trommel.volumes" -}}
- name: trommel-config
  configMap: {name: {{ include "trommel.fullname" . }}-config}
- name: trommel-rules
  projected:
    sources:
      - configMap: {name: {{ include "trommel.fullname" . }}-rules, optional: true}
      - configMap: {name: {{ include "trommel.fullname" . }}-policy, optional: true}
      {{- range .Values.extraRuleConfigMaps }}
      - configMap: {name: {{ . }}}
      {{- end }}
- name: trommel-admin
  secret: {secretName: {{ .Values.secrets.admin }}}
- name: trommel-nats
  secret: {secretName: {{ .Values.secrets.nats }}}
- name: trommel-data
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim: {claimName: {{ default (printf "%s-data" (include "trommel.fullname" .)) .Values.persistence.existingClaim }}}
  {{- else }}
  emptyDir: {sizeLimit: 1Gi}
  {{- end }}
{{- if .Values.tls.enabled }}
- name: trommel-tls
  secret: {secretName: {{ .Values.secrets.tls }}}
{{- if include "trommel.isCentral" . }}
- name: trommel-push
  secret: {secretName: {{ .Values.secrets.push }}}
{{- end }}
{{- end }}
{{- with .Values.volumes.extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What both pods have besides containers and volumes. */ -}}
{{- define "trommel.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}
