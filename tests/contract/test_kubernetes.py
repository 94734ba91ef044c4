"""deploy/k8s.yaml and deploy/keda.yaml are valid, least-privilege, and consistent with the server's settings."""

import importlib.util
import re
from typing import Any

import pytest
import yaml

from server.settings import SETTINGS
from server.telemetry.metrics import Metrics
from tests.contract.dockerfiles import stages
from tests.serving import ROOT

DEFAULTS = {row.name: row.default for row in SETTINGS}


def documents(file: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a manifest by kind; there is one of each."""
    objects = [one for one in yaml.safe_load_all((ROOT / "deploy" / file).read_text("utf-8")) if one]
    assert len({one["kind"] for one in objects}) == len(objects)
    return {one["kind"]: one for one in objects}


def pod() -> dict[str, Any]:
    template: dict[str, Any] = documents("k8s.yaml")["Deployment"]["spec"]["template"]
    return template


def container() -> dict[str, Any]:
    (only,) = pod()["spec"]["containers"]
    spec: dict[str, Any] = only
    return spec


@pytest.mark.parametrize("kind", list(documents("k8s.yaml")))
def test_kubernetes_own_schema_accepts_it(kind: str) -> None:
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("kubernetes-validate is not installed: requirements/test.txt has it")
    validate = importlib.import_module("kubernetes_validate")
    validate.validate(documents("k8s.yaml")[kind], validate.latest_version(), strict=True)


def test_every_object_is_about_the_same_pods() -> None:
    by_kind = documents("k8s.yaml")
    assert set(by_kind) == {
        *("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"),
    }
    labels = pod()["metadata"]["labels"]
    assert by_kind["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["Service"]["spec"]["selector"] == labels
    assert by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    target = by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": by_kind["Deployment"]["metadata"]["name"]}


def test_the_pod_may_write_nothing_and_gain_no_rights() -> None:
    spec, security = pod()["spec"], container()["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    user = f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}"
    assert user == stages("Dockerfile.cpu")[1]["runtime"].one("USER")
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_probes_ask_what_they_should() -> None:
    asked = container()
    paths = {name: asked[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/ready", "readiness": "/ready", "liveness": "/health"}
    (port,) = asked["ports"]
    assert {asked[f"{name}Probe"]["httpGet"]["port"] for name in paths} == {port["name"]}
    assert str(port["containerPort"]) == DEFAULTS["PORT"]


def test_a_pod_has_time_to_answer_what_it_accepted() -> None:
    _, _, script = container()["lifecycle"]["preStop"]["exec"]["command"]
    (seconds,) = re.findall(r"time\.sleep\((\d+)\)", script)
    assert pod()["spec"]["terminationGracePeriodSeconds"] > float(DEFAULTS["REQUEST_TIMEOUT_S"]) + int(seconds)


def test_an_update_never_leaves_fewer_pods_than_were_asked_for() -> None:
    deployment = documents("k8s.yaml")["Deployment"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in deployment
    assert documents("k8s.yaml")["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2


def test_resources_are_whole_cpus_that_nobody_else_takes() -> None:
    resources = container()["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["cpu"].isdecimal()


def test_the_environment_is_made_of_settings() -> None:
    names = {row["name"] for row in container()["env"]}
    assert names <= set(DEFAULTS)


def test_without_the_secret_of_the_key_nothing_starts() -> None:
    (secret,) = [row for row in container()["env"] if row["name"] == "API_KEY"]
    assert set(secret) == {"name", "valueFrom"}
    assert secret["valueFrom"]["secretKeyRef"]["optional"] is False


def test_nobody_calls_but_who_is_named() -> None:
    (rule,) = documents("k8s.yaml")["NetworkPolicy"]["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == ["http"]
    assert rule["from"]
    for caller in rule["from"]:
        # An empty selector matches all pods, and an ipBlock matches any pod in its range.
        assert set(caller) <= {"podSelector", "namespaceSelector"}
        assert all(selector["matchLabels"] for selector in caller.values())
        assert "podSelector" in caller


def test_the_limit_of_memory_is_no_less_than_compose_s() -> None:
    limits = yaml.safe_load((ROOT / "deploy/memory.yaml").read_text("utf-8"))["services"]
    (precision,) = [row["value"] for row in container()["env"] if row["name"] == "QUANTIZATION"]
    (wanted,) = re.findall(r":-(\w+)}", limits[precision]["mem_limit"])
    assert mebibytes(container()["resources"]["limits"]["memory"]) >= mebibytes(wanted)


def mebibytes(written: str) -> int:
    """Parse a size of Kubernetes ("1Gi") or compose ("768m") to MiB."""
    (number, unit) = re.fullmatch(r"(\d+)([gmGM])i?", written).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 1, "g": 1024}[unit.lower()]


def test_nothing_goes_out_but_questions_for_names() -> None:
    policy = documents("k8s.yaml")["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    (allowed,) = policy["egress"]
    assert {port["port"] for port in allowed["ports"]} == {53}


def test_prometheus_finds_the_metrics() -> None:
    annotations = pod()["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == "/metrics"
    assert annotations["prometheus.io/port"] == DEFAULTS["PORT"]


def test_keda_takes_over_the_autoscaler_of_the_same_deployment() -> None:
    keda, plain = documents("keda.yaml")["ScaledObject"], documents("k8s.yaml")["HorizontalPodAutoscaler"]
    assert keda["apiVersion"] == "keda.sh/v1alpha1"
    assert keda["metadata"]["annotations"] == {"scaledobject.keda.sh/transfer-hpa-ownership": "true"}
    spec = keda["spec"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["name"] == plain["metadata"]["name"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == plain["spec"]["behavior"]
    assert spec["scaleTargetRef"] == plain["spec"]["scaleTargetRef"]
    bounds = (spec["minReplicaCount"], spec["maxReplicaCount"])
    assert bounds == (plain["spec"]["minReplicas"], plain["spec"]["maxReplicas"])
    assert bounds[0] <= spec["fallback"]["replicas"] <= bounds[1]


def test_keda_s_fields_are_those_of_its_schema() -> None:
    """Kubernetes' schemas do not cover KEDA's custom resource, and an unknown field would be dropped silently."""
    spec = documents("keda.yaml")["ScaledObject"]["spec"]
    known = {"scaleTargetRef", "pollingInterval", "minReplicaCount", "maxReplicaCount"}
    assert set(spec) == known | {"fallback", "advanced", "triggers"}
    assert set(spec["fallback"]) == {"failureThreshold", "replicas"}
    (trigger,) = spec["triggers"]
    assert set(trigger) == {"type", "metricType", "metadata"}
    # KEDA's fallback supports AverageValue only.
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    assert set(trigger["metadata"]) == {"serverAddress", "query", "threshold"}
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert float(trigger["metadata"]["threshold"]) > 0


def test_keda_asks_for_a_metric_that_the_server_has() -> None:
    (trigger,) = documents("keda.yaml")["ScaledObject"]["spec"]["triggers"]
    asked = set(re.findall(r"\bembedding_\w+", trigger["metadata"]["query"]))
    watched = set(re.findall(r'watch\("(\w+)"', (ROOT / "server/service/service.py").read_text("utf-8")))
    counted = set(re.findall(r"^(\w+)", Metrics().render().decode(), re.MULTILINE))
    assert asked
    assert asked <= watched | counted
