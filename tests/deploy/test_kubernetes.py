"""What `kubectl apply -k` would apply: by the schemas of Kubernetes and of the operators, and what matters of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from streamlearn import settings
from streamlearn.errors import ConfigurationError
from tests.deploy.tools import one, pods, rendered

SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = ("1.31", "1.34", "1.37")  # the oldest has what is used here
CUSTOM = ("keda.sh", "monitoring.coreos.com", "kafka.strimzi.io")
WITH_PODS = ("dev", "production")
UID, PORT, STATE = 10001, 9464, "/var/lib/streamlearn"


def custom(resource: dict[str, Any]) -> bool:
    return str(resource["apiVersion"]).startswith(CUSTOM)


def validate(resource: dict[str, Any]) -> None:
    schema = json.loads((SCHEMAS / f"{resource['kind']}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(resource)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", WITH_PODS)
def test_every_resource_is_what_kubernetes_takes(overlay: str, version: str) -> None:
    for resource in rendered(overlay):
        if not custom(resource):
            kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("overlay", ["production", "strimzi"])
def test_every_custom_resource_is_what_its_operator_takes(overlay: str) -> None:
    resources = [each for each in rendered(overlay) if custom(each)]
    assert resources
    for resource in resources:
        validate(resource)


def test_what_an_operator_does_not_know_is_refused() -> None:
    scaled = one("production", "ScaledObject", "streamlearn-scorers")
    with pytest.raises(jsonschema.ValidationError, match="minReplicas"):
        validate(scaled | {"spec": scaled["spec"] | {"minReplicas": 1}})
    user = one("strimzi", "KafkaUser", "streamlearn")
    with pytest.raises(jsonschema.ValidationError, match="plain"):
        validate(user | {"spec": {"authentication": {"type": "plain"}}})


@pytest.mark.parametrize("overlay", WITH_PODS)
def test_pods_meet_the_restricted_standard(overlay: str) -> None:
    levels = [each["metadata"]["labels"] for each in rendered(overlay) if each["kind"] == "Namespace"]
    assert ["restricted"] == [each["pod-security.kubernetes.io/enforce"] for each in levels]
    assert pods(overlay)
    for pod in pods(overlay):
        assert pod["securityContext"]["runAsNonRoot"]
        assert UID == pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"]
        assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
        assert pod["automountServiceAccountToken"] is False
        [container] = pod["containers"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert (False, ["ALL"]) == (context["allowPrivilegeEscalation"], context["capabilities"]["drop"])
        writable = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
        assert {STATE, "/tmp"} == writable
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]} | (
            {"state"} if "run" in container["args"] else set()
        )


@pytest.mark.parametrize("overlay", WITH_PODS)
def test_pods_are_watched_and_bounded(overlay: str) -> None:
    for pod in pods(overlay):
        [container] = pod["containers"]
        assert ":" in container["image"]
        assert {"http": PORT} == {each["name"]: each["containerPort"] for each in container["ports"]}
        probes = {each: container[f"{each}Probe"]["httpGet"] for each in ("startup", "liveness", "readiness")}
        assert {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"} == {
            each: probe["path"] for each, probe in probes.items()
        }
        assert {"http"} == {probe["port"] for probe in probes.values()}
        assert {"cpu", "memory"} == set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", WITH_PODS)
def test_one_daemon_writes_to_a_disk_that_outlives_it(overlay: str) -> None:
    daemon = one(overlay, "StatefulSet", "streamlearn")["spec"]
    assert 1 == daemon["replicas"]
    assert {"whenDeleted": "Retain", "whenScaled": "Retain"} == daemon["persistentVolumeClaimRetentionPolicy"]
    assert 30 < daemon["template"]["spec"]["terminationGracePeriodSeconds"]  # see README, When things fail
    [claim] = daemon["volumeClaimTemplates"]
    expected = "ReadWriteOncePod" if overlay == "production" else "ReadWriteOnce"
    assert [expected] == claim["spec"]["accessModes"]
    [mount] = [each for each in daemon["template"]["spec"]["containers"][0]["volumeMounts"] if each["name"] == "state"]
    assert (claim["metadata"]["name"], STATE) == (mount["name"], mount["mountPath"])


@pytest.mark.parametrize("overlay", WITH_PODS)
def test_selectors_find_what_they_are_for(overlay: str) -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in rendered(overlay)
        if "template" in each.get("spec", {})
    }
    assert {"streamlearn", *(["streamlearn-scorers"] if overlay == "production" else [])} == set(labels)

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    assert {"streamlearn"} == found(one(overlay, "Service", "streamlearn")["spec"]["selector"])
    policy = one(overlay, "NetworkPolicy", "streamlearn")["spec"]
    assert set(labels) == found(policy["podSelector"]["matchLabels"])
    assert ["Ingress", "Egress"] == policy["policyTypes"]
    [names] = [each["podSelector"] for rule in policy["egress"] for each in rule.get("to", [])]
    assert {"matchLabels": {"k8s-app": "kube-dns"}} == names
    if overlay == "production":
        budget = one(overlay, "PodDisruptionBudget", "streamlearn-scorers")["spec"]
        monitor = one(overlay, "PodMonitor", "streamlearn-scorers")["spec"]
        service = one(overlay, "ServiceMonitor", "streamlearn")["spec"]["selector"]["matchLabels"]
        for each in (budget, monitor):
            assert {"streamlearn-scorers"} == found(each["selector"]["matchLabels"])
        assert service.items() <= one(overlay, "Service", "streamlearn")["metadata"]["labels"].items()


def told(overlay: str, tmp_path: Path, container: dict[str, Any]) -> settings.Configuration:
    """The configuration as the container has it, its secrets made up."""
    path = tmp_path / "config.toml"
    text = one(overlay, "ConfigMap", "streamlearn")["data"]["config.toml"]
    (tmp_path / "password").write_text("secret")
    path.write_text(text.replace("/run/secrets/kafka/password", str(tmp_path / "password")))
    environment = {each["name"]: each.get("value", "pod-7") for each in container.get("env", [])}
    return settings.read(path, environment, [])


@pytest.mark.parametrize("overlay", WITH_PODS)
def test_the_configuration_is_accepted_and_fits_its_pods(overlay: str, tmp_path: Path) -> None:
    for pod in pods(overlay):
        [container] = pod["containers"]
        configuration = told(overlay, tmp_path, container)
        assert ("kafka", "0.0.0.0", PORT) == (
            configuration.log.kind, configuration.http.host, configuration.http.port,
        )  # fmt: skip
        assert configuration.store.path.startswith(f"{STATE}/")
        assert ("true" in str(container.get("env"))) == configuration.kafka.create_topics == (overlay == "dev")


def test_secrets_are_files_that_are_mounted(tmp_path: Path) -> None:
    text = one("production", "ConfigMap", "streamlearn")["data"]["config.toml"]
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="/run/secrets/kafka/password"):
        settings.read(path, {}, [])
    assert not [each for each in rendered("production") if each["kind"] == "Secret"]
    for pod in pods("production"):
        secret = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
        files = {
            f"{mount['mountPath']}/{item['path']}"
            for mount in pod["containers"][0]["volumeMounts"]
            for item in secret.get(mount["name"], {"items": []})["items"]
        }
        assert {"/run/secrets/kafka/password", "/run/secrets/kafka-ca/ca.crt"} == files
        assert all(file in text for file in files)


def test_keda_asks_for_the_lag_of_the_group_that_scorers_are_in(tmp_path: Path) -> None:
    scorers = one("production", "Deployment", "streamlearn-scorers")["spec"]
    [container] = scorers["template"]["spec"]["containers"]
    assert "replicas" not in scorers
    configuration = told("production", tmp_path, container)
    assert configuration.models.for_scorers
    assert (configuration.topics.models, configuration.topics.candidates) == ("models", "candidates")
    scaled = one("production", "ScaledObject", "streamlearn-scorers")["spec"]
    assert scaled["scaleTargetRef"]["name"] == "streamlearn-scorers"
    [trigger] = scaled["triggers"]
    asked, kafka = trigger["metadata"], configuration.kafka
    assert (kafka.bootstrap_servers, f"{configuration.name}-scorers", configuration.topics.events) == (
        asked["bootstrapServers"], asked["consumerGroup"], asked["topic"],
    )  # fmt: skip
    assert 1000 < int(asked["lagThreshold"])  # so far the group lags where nothing is unread: see README, Scorers
    assert scaled["minReplicaCount"] >= 1
    login = one("production", "TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]
    [username] = [each["value"] for each in container["env"] if each["name"] == login["env"][0]["name"]]
    assert username == kafka.settings["sasl_plain_username"]
    mounted = {each["secret"]["secretName"] for each in scorers["template"]["spec"]["volumes"] if "secret" in each}
    assert mounted == {each["name"] for each in login["secretTargetRef"]}
