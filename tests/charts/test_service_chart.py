"""kubernetes/ss-poc: what the Helm chart of the service makes of its values, and which values it refuses."""

from __future__ import annotations

import pytest
import yaml
from helm_charts import (
    SERVICE,
    check_restrictions,
    check_schemas,
    container,
    helm,
    only,
    refusal,
    rendered,
    template,
    variables,
)

V_1 = ("--set", "image.tag=v_1")
# Everything that can be switched on, but for what scales.
ALL = (*V_1, "--set", "ingress.enabled=true,ingress.host=segment.plant,ingress.tlsSecret=tls,ingress.className=nginx",
       "--set", "token.secret=api-token,serviceMonitor.enabled=true,serviceMonitor.labels.team=vision",
       "--set", "collect.perDay=20,collect.claim=collected,workers=2,imagePullSecrets={registry}",
       "--set", "partRules.configMap=rules,env.SS_POC_CORS=https://line.plant,env.SS_POC_MAX_IMAGES=8,runtimeClassName=nvidia",
       "--set", "secretEnv.SS_POC_LABEL_STUDIO_TOKEN.secret=studio,secretEnv.SS_POC_LABEL_STUDIO_TOKEN.key=token",
       "--set-json", 'networkPolicy.from=[{"namespaceSelector":{"matchLabels":{"role":"line"}}}]',
       "--set-json", 'networkPolicy.egress=[{"ports":[{"port":8080}]}]',
       "--set-json", 'tolerations=[{"key":"gpu","operator":"Exists"}]',
       "--set-json", 'affinity={"nodeAffinity":{}}', "--set", "nodeSelector.zone=a,podAnnotations.note=x")
KEDA, HPA = ("--set", "autoscaling.kind=keda"), ("--set", "autoscaling.kind=hpa")
CUSTOM = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor"}  # whose schemas are not those of Kubernetes


@pytest.mark.parametrize("flags", [V_1, ALL, (*ALL, *KEDA), (*ALL, *HPA)], ids=["least", "all", "keda", "hpa"])
def test_the_chart_is_clean_and_what_it_makes_fits_the_schemas(flags):
    done = helm("lint", "--strict", str(SERVICE), *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    documents = rendered(SERVICE, *flags)
    check_schemas([document for document in documents if document["kind"] not in CUSTOM])
    check_restrictions(documents)
    assert {document["metadata"]["name"] for document in documents} == {"line-ss-poc"}


def test_without_anything_switched_on_there_are_four_objects():
    assert sorted(document["kind"] for document in rendered(SERVICE, *V_1)) == [
        "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]


def test_labels_of_the_objects_select_the_pods_of_this_release_alone():
    documents = rendered(SERVICE, *V_1)
    wanted = {"app.kubernetes.io/name": "ss-poc", "app.kubernetes.io/instance": "line"}
    deployment = only(documents, "Deployment")
    assert deployment["spec"]["selector"] == {"matchLabels": wanted}
    assert wanted.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert only(documents, "Service")["spec"]["selector"] == wanted
    assert only(documents, "PodDisruptionBudget")["spec"]["selector"] == {"matchLabels": wanted}
    assert only(documents, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": wanted}


# --- stopping


def pod(*flags: str) -> dict:
    return only(rendered(SERVICE, *V_1, *flags), "Deployment")["spec"]["template"]["spec"]


def test_the_grace_is_pre_stop_and_drain_and_the_longest_request_and_fifteen_seconds():
    found = pod()
    assert found["terminationGracePeriodSeconds"] == 5 + 6 + 60 + 15
    assert found["containers"][0]["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    assert variables(found["containers"][0])["SS_POC_DRAIN"] == "6"
    assert variables(found["containers"][0])["SS_POC_TIMEOUT"] == "60"
    slow = pod("--set", "shutdown.drainSeconds=8,shutdown.timeoutSeconds=200,shutdown.preStopSeconds=0")
    assert slow["terminationGracePeriodSeconds"] == 8 + 200 + 15
    assert "lifecycle" not in slow["containers"][0]


def test_a_grace_of_ones_own_is_taken_where_it_is_long_enough():
    assert pod("--set", "shutdown.graceSeconds=86")["terminationGracePeriodSeconds"] == 86
    said = refusal(SERVICE, *V_1, "--set", "shutdown.graceSeconds=85")
    assert "shutdown.graceSeconds is 85" in said and "expected: at least 86" in said


# --- what the container gets


def test_the_engine_can_use_what_the_limit_says_and_is_promised_as_much():
    found = container(rendered(SERVICE, *V_1, "--set", "resources.limits.cpu=4,resources.limits.memory=3Gi"))
    # Kubernetes takes limits for requests where there are none; the service counts its threads in the control group.
    assert found["resources"] == {"limits": {"cpu": 4, "memory": "3Gi"}, "requests": {}}
    assert "SS_POC_THREADS" not in variables(found)


def test_probes_ask_who_is_ready_and_who_lives():
    found = container(rendered(SERVICE, *V_1))
    assert found["ports"] == [{"name": "http", "containerPort": 8892}]
    asked = {name: found[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert asked == {"startup": {"path": "/readyz", "port": "http"}, "readiness": {"path": "/readyz", "port": "http"},
                     "liveness": {"path": "/livez", "port": "http"}}
    startup = found["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 120, "the supervisor's READY_SECONDS"


def test_nothing_but_its_state_and_tmp_can_be_written_unless_photographs_are_collected():
    found = container(rendered(SERVICE, *V_1))
    assert [mount["mountPath"] for mount in found["volumeMounts"]] == ["/state", "/tmp"]
    assert "COLLECT" not in variables(found)
    kept = rendered(SERVICE, *V_1, "--set", "collect.perDay=20")
    assert {"name": "collected", "emptyDir": {"sizeLimit": "1Gi"}} in \
        only(kept, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert variables(container(kept))["SS_POC_COLLECT_PATH"] == "/collected"


def test_replicas_that_share_a_claim_have_a_folder_each():
    kept = rendered(SERVICE, *V_1, "--set", "collect.perDay=20,collect.claim=photos")
    assert {"name": "collected", "persistentVolumeClaim": {"claimName": "photos"}} in \
        only(kept, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "collected", "mountPath": "/collected", "subPathExpr": "$(POD_NAME)"} in \
        container(kept)["volumeMounts"]
    assert variables(container(kept))["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_part_rules_of_a_config_map_are_read_and_never_written():
    measured = rendered(SERVICE, *V_1, "--set", "partRules.configMap=part-rules")
    assert {"name": "part-rules", "configMap": {"name": "part-rules"}} in \
        only(measured, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "part-rules", "mountPath": "/rules", "readOnly": True} in container(measured)["volumeMounts"]
    assert variables(container(measured))["SS_POC_RULES"] == "/rules"
    assert "SS_POC_RULES" not in variables(container(rendered(SERVICE, *V_1)))


def test_the_token_is_named_and_never_written():
    flags = ("--set", "token.secret=line-token")
    documents = rendered(SERVICE, *V_1, *flags, *KEDA, "--set", "serviceMonitor.enabled=true")
    from_secret = {"name": "line-token", "key": "token"}
    assert variables(container(documents))["API_TOKEN"] == {"secretKeyRef": from_secret}
    assert only(documents, "ServiceMonitor")["spec"]["endpoints"][0]["authorization"] == {"credentials": from_secret}
    (reference,) = only(documents, "TriggerAuthentication")["spec"]["secretTargetRef"]
    assert reference == {"parameter": "token", **from_secret}
    (trigger,) = only(documents, "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["authMode"] == "bearer" and trigger["authenticationRef"] == {"name": "line-ss-poc"}


def test_large_numbers_of_a_file_become_texts_without_an_exponent(tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text("image: {tag: v_1}\nenv: {SS_POC_MAX_PIXELS: 100000000, SS_POC_CORS: '*'}\n"
                    "shutdown: {timeoutSeconds: 1000000}\n")
    found = variables(container(rendered(SERVICE, "--values", str(file))))
    assert found["SS_POC_MAX_PIXELS"] == "100000000" and found["SS_POC_TIMEOUT"] == "1000000"
    assert found["SS_POC_CORS"] == "*"


def test_an_image_may_be_named_by_its_digest():
    digest = "sha256:" + "0a" * 32
    assert container(rendered(SERVICE, "--set", f"image.digest={digest}"))["image"] == f"ss-poc-serve@{digest}"


def test_a_cluster_may_choose_the_user():
    context = pod("--set", "runAsUser=null")["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod()["securityContext"]["runAsUser"] == pod()["securityContext"]["fsGroup"] == 1000


# --- who may reach it


def test_everybody_may_reach_the_port_and_the_service_may_reach_nobody():
    policy = only(rendered(SERVICE, *V_1), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"] and policy["egress"] == []
    assert policy["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    peers = only(rendered(SERVICE, *ALL), "NetworkPolicy")["spec"]
    assert peers["ingress"][0]["from"] == [{"namespaceSelector": {"matchLabels": {"role": "line"}}}]
    assert peers["egress"] == [{"ports": [{"port": 8080}]}]


# --- scaling


def test_replicas_are_the_scalers_business_where_there_is_one():
    assert only(rendered(SERVICE, *V_1), "Deployment")["spec"]["replicas"] == 2
    for kind in (KEDA, HPA):
        assert "replicas" not in only(rendered(SERVICE, *V_1, *kind), "Deployment")["spec"]


def test_all_scale_by_the_gauge_of_the_queue_that_the_service_has():
    from ss_poc.serving.metrics import QUEUE

    (gauge,) = {metric.name for metric in QUEUE.describe()}
    (trigger,) = only(rendered(SERVICE, *V_1, *KEDA), "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"] == {
        "url": "http://line-ss-poc.plant.svc.cluster.local:8892/metrics", "format": "prometheus",
        "valueLocation": gauge, "targetValue": "3", "aggregateFromKubeServiceEndpoints": "true",
        "aggregationType": "sum"}
    asked = rendered(SERVICE, *V_1, *KEDA, "--set", "autoscaling.prometheus=http://prometheus:9090")
    (trigger,) = only(asked, "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"] == {"serverAddress": "http://prometheus:9090", "threshold": "3",
                                   "query": f'sum({gauge}{{namespace="plant",service="line-ss-poc"}})'}
    (metric,) = only(rendered(SERVICE, *V_1, *HPA), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"] == {"metric": {"name": gauge}, "target": {"type": "AverageValue", "averageValue": "3"}}


# --- values that cannot be


@pytest.mark.parametrize(("flag", "said"), [
    ("image.tag=", "image.tag is empty"),
    ("image.tag=a b", "does not match pattern"),
    ("replica=3", "additional properties 'replica' not allowed"),
    ("replicas=two", "got string, want integer"),
    ("replicas=-1", "minimum"),
    ("resources.limits.cpu=null", "missing property 'cpu'"),
    ("resources.limits.memory=2 GB", "does not match pattern"),
    ("autoscaling.kind=cpu", "value must be one of 'none', 'keda', 'hpa'"),
    ("env.SS_POC_DRAIN=3", "SS_POC_DRAIN"),
    ("env.API_TOKEN=secret", "API_TOKEN"),
    ("ingress.enabled=true", "ingress.host is empty"),
    ("autoscaling.kind=hpa,autoscaling.minReplicas=9", "autoscaling.maxReplicas is 8"),
    ("autoscaling.prometheus=http://p:9090", "expected: keda, which alone asks Prometheus"),
    ("collect.claim=photos", "nothing would be kept"),
    ("shutdown.timeoutSeconds=0", "minimum"),
    ("shutdown.drainSeconds=0.5", "got string, want integer"),
    ("runAsUser=0", "minimum"),
    ("service.port=0", "minimum"),
    ("disruption.maxUnavailable=0", "minimum"),
    ("token.secret=A Secret", "does not match pattern"),
])
def test_a_value_that_cannot_be_is_refused_with_a_sentence(flag, said):
    assert said in refusal(SERVICE, *V_1, "--set", flag)


def test_an_older_kubernetes_is_refused():
    done = helm("template", "line", str(SERVICE), *V_1, "--kube-version", "1.24")
    assert done.returncode == 1 and "chart requires kubeVersion: >=1.25.0-0" in done.stderr


def test_the_kserve_example_has_the_figures_of_the_chart():
    example = yaml.safe_load((SERVICE.parent / "kserve.yaml").read_text())
    predictor, chart = example["spec"]["predictor"], pod()
    (theirs,), (ours,) = predictor["containers"], chart["containers"]
    assert predictor["terminationGracePeriodSeconds"] == chart["terminationGracePeriodSeconds"]
    for name in ("lifecycle", "securityContext", "volumeMounts"):
        assert theirs[name] == ours[name], name
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert theirs[name] == {**ours[name], "httpGet": {**ours[name]["httpGet"], "port": 8892}}, name
    assert variables(theirs).items() <= variables(ours).items()
    # What is below `predictor` beside KServe's own fields is a pod's.
    pods = {name: value for name, value in predictor.items() if name != "minReplicas"}
    check_schemas([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pods}])


def test_a_misspelled_field_would_not_pass_the_schemas():
    documents = rendered(SERVICE, *V_1)
    container(documents)["readinesProbe"] = {}
    with pytest.raises(Exception, match="readinesProbe"):
        check_schemas(documents)


def test_notes_tell_how_to_try_it():
    assert template(SERVICE, *V_1).returncode == 0
    done = helm("install", "line", str(SERVICE), *V_1, "--dry-run=client")
    assert "curl -X POST http://127.0.0.1:8892/predict -F image=@photo.jpg" in done.stdout, done.stderr
