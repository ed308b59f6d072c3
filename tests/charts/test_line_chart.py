"""kubernetes/ss-poc-line: what the Helm chart of a line makes of its values, and which values it refuses."""

from __future__ import annotations

import pytest
import yaml
from helm_charts import LINE, check_restrictions, check_schemas, container, helm, only, refusal, rendered

from ss_poc.line.settings import read_settings

SETTINGS = r"""
image: {tag: "1"}
settings:
  line: press
  state: state
  service: {url: "http://line-ss-poc", token: "${SS_POC_TOKEN}"}
  sources: [{type: folder, name: camera, path: in, watch: polling, part: '(?P<part>\d+)'}]
  sinks: [{type: modbus, name: plc, port: 5020}]
  page: {host: 0.0.0.0, token: "${LINE_TOKEN}"}
secretEnv: {SS_POC_TOKEN: {secret: line, key: service}, LINE_TOKEN: {secret: line, key: page}}
ports: [{name: modbus, port: 5020}]
volumes: [{name: photos, persistentVolumeClaim: {claimName: photos}}]
volumeMounts: [{name: photos, mountPath: /line/in}]
networkPolicy: {from: [{ipBlock: {cidr: 10.1.0.0/16}}]}
"""
LEAST = "image: {tag: '1'}\nsettings: {line: press, state: state, sources: [{type: folder, name: camera, path: in}]}\n"


@pytest.fixture
def values(tmp_path):
    def written(text: str, *flags: str) -> tuple[str, ...]:
        (tmp_path / "values.yaml").write_text(text)
        return "--values", str(tmp_path / "values.yaml"), *flags

    return written


@pytest.mark.parametrize("text", [LEAST, SETTINGS], ids=["least", "all"])
def test_the_chart_is_clean_and_what_it_makes_fits_the_schemas(values, text):
    done = helm("lint", "--strict", str(LINE), *values(text))
    assert done.returncode == 0, done.stdout + done.stderr
    documents = rendered(LINE, *values(text))
    check_schemas(documents)
    check_restrictions(documents)
    assert {document["metadata"]["name"] for document in documents} == {"line-ss-poc-line"}


def test_the_settings_arrive_as_the_line_reads_them(values, tmp_path):
    written = only(rendered(LINE, *values(SETTINGS)), "ConfigMap")["data"]["line.yaml"]
    (tmp_path / "in").mkdir()
    (tmp_path / "line.yaml").write_text(written)
    found = read_settings(tmp_path / "line.yaml", {"SS_POC_TOKEN": "a", "LINE_TOKEN": "b"})
    assert found.line == "press" and found.page.token == "b" and found.sources[0].part.pattern == r"(?P<part>\d+)"


def test_one_process_has_the_state_and_its_folder_stays(values):
    documents = rendered(LINE, *values(SETTINGS))
    found = only(documents, "StatefulSet")["spec"]
    assert found["replicas"] == 1
    assert found["volumeClaimTemplates"][0]["spec"]["resources"] == {"requests": {"storage": "50Gi"}}
    assert [(mount["name"], mount["mountPath"]) for mount in container(documents)["volumeMounts"]] == [
        ("line", "/line"), ("settings", "/line/line.yaml"), ("tmp", "/tmp"), ("photos", "/line/in")]


def test_secrets_are_named_and_never_written(values):
    documents = rendered(LINE, *values(SETTINGS))
    assert {item["name"]: item["valueFrom"]["secretKeyRef"] for item in container(documents)["env"]} == {
        "LINE_TOKEN": {"name": "line", "key": "page"}, "SS_POC_TOKEN": {"name": "line", "key": "service"}}


def test_the_page_and_the_ports_are_reached_and_the_page_says_whether_the_line_lives(values):
    documents = rendered(LINE, *values(SETTINGS))
    assert container(documents)["livenessProbe"]["httpGet"] == {"path": "/line", "port": "page"}
    assert only(documents, "Service")["spec"]["ports"] == [
        {"name": "page", "port": 8896, "targetPort": "page"}, {"name": "modbus", "port": 5020, "targetPort": "modbus"}]
    (rule,) = only(documents, "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"ports": [{"port": "page", "protocol": "TCP"}, {"port": "modbus", "protocol": "TCP"}],
                    "from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
    quiet = rendered(LINE, *values(LEAST))
    assert sorted(document["kind"] for document in quiet) == ["ConfigMap", "NetworkPolicy", "StatefulSet"]
    assert only(quiet, "NetworkPolicy")["spec"]["ingress"] == [] and "livenessProbe" not in container(quiet)


def test_other_settings_start_the_line_anew(values):
    def checksum(text: str) -> str:
        pod = only(rendered(LINE, *values(text)), "StatefulSet")["spec"]["template"]
        return pod["metadata"]["annotations"]["checksum/settings"]

    assert checksum(LEAST) == checksum(LEAST) != checksum(LEAST.replace("press", "drill"))


@pytest.mark.parametrize(("text", "said"), [
    ("image: {tag: '1'}\n", "settings is empty"), (LEAST.replace("tag: '1'", "tag: ''"), "image.tag is empty"),
    (SETTINGS.replace("host: 0.0.0.0, ", ""), "settings.page.host is not 0.0.0.0"),
    (LEAST + "ports: [{name: page, port: 5020}]\n", "ports"), (LEAST + "port: 1\n", "'port' not allowed"),
    (LEAST + "ports: [{name: modbus, port: 502}]\n", "minimum")])
def test_values_that_cannot_be_are_refused(values, text, said):
    assert said in refusal(LINE, *values(text))


def test_the_compose_file_has_the_line_with_what_it_needs():
    found = yaml.safe_load((LINE.parents[1] / "compose.yaml").read_text())["services"]["line"]
    assert found["volumes"] == ["${LINE_FOLDER:-./line}:/line"] and found["build"]["dockerfile"] == "Dockerfile.line"
    assert found["ports"] == ["${LINE_HOST:-127.0.0.1}:${LINE_PORT:-8896}:8896"]
    assert found["read_only"] is True and found["cap_drop"] == ["ALL"]
