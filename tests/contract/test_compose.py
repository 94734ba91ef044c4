"""compose.yaml: the services of each profile, their limits and privileges, and whether compose accepts the file."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.settings import QUANTIZATIONS, SETTINGS
from tests.contract.dockerfiles import arguments, image_environment, stages
from tests.serving import ROOT, serve
from tests.unit.server import tiny

# Settings that the image fixes: listening address, device and model folder.
FIXED_BY_IMAGE = {"MODELS_DIR", "DEVICE", "HOST", "PORT"}


def filled(value: Any, environ: Mapping[str, str]) -> Any:
    """Interpolate `${NAME:-default}` as compose does: empty counts as unset."""
    if isinstance(value, dict):
        return {key: filled(one, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, environ) for one in value]
    if not isinstance(value, str):
        return value
    out = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environ.get(match[1]) or match[2], value)
    assert "$" not in out.replace("$$", "")
    return out.replace("$$", "$")


def services(file: str, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the services of a compose file, with variables interpolated and `extends` resolved."""
    by_name: dict[str, dict[str, Any]] = filled(yaml.safe_load((ROOT / file).read_text("utf-8"))["services"], environ)
    for one in by_name.values():
        if base := one.pop("extends", None):
            one.update(services(base["file"], environ)[base["service"]])
    return by_name


def service(profile: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the only service that `--profile` starts."""
    (chosen,) = [one for one in services("compose.yaml", environ or {}).values() if profile in one["profiles"]]
    return chosen


def test_nothing_starts_without_a_profile() -> None:
    profiles = {name: one["profiles"] for name, one in services("compose.yaml", {}).items()}
    monitoring = {"prometheus": ["monitoring"], "grafana": ["monitoring"]}
    assert profiles == {"embedding-cpu": ["cpu"], "embedding-gpu": ["gpu"]} | monitoring


@pytest.mark.parametrize(
    ("profile", "precision", "memory"), [("cpu", "int8", "896m"), ("gpu", "fp16", "8g")], ids=["cpu", "gpu"]
)
def test_each_profile_serves_bge_large_on_port_8000(profile: str, precision: str, memory: str) -> None:
    chosen = service(profile)
    assert chosen["build"]["dockerfile"] == f"Dockerfile.{profile}"
    assert chosen["build"]["args"]["MODEL"] == chosen["environment"]["MODEL"] == "BAAI/bge-large-en-v1.5"
    assert chosen["environment"]["QUANTIZATION"] == precision
    assert chosen["mem_limit"] == memory
    assert chosen["ports"] == ["8000:8000"]


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_environment_chooses_model_precision_port_and_memory(profile: str) -> None:
    chosen = service(profile, {"MODEL": "a/b", "QUANTIZATION": "fp32", "PORT": "9000", "MEMORY_LIMIT": "2g"})
    assert chosen["build"]["args"]["MODEL"] == chosen["environment"]["MODEL"] == "a/b"
    assert chosen["environment"]["QUANTIZATION"] == "fp32"
    assert chosen["ports"] == ["9000:8000"]
    assert chosen["mem_limit"] == "2g"


def test_memory_follows_the_precision() -> None:
    limits = {one: service("cpu", {"QUANTIZATION": one})["mem_limit"] for one in QUANTIZATIONS}
    assert limits == {"fp32": "2g", "fp16": "3g", "int8": "896m", "int8-static": "896m", "chosen": "3g"}


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_a_service_may_write_nothing_and_gain_no_rights(profile: str) -> None:
    chosen = service(profile)
    assert chosen["read_only"] is True
    assert chosen["cap_drop"] == ["ALL"]
    assert chosen["security_opt"] == ["no-new-privileges:true"]
    assert [mount.split(":")[0] for mount in chosen["tmpfs"]] == ["/tmp"]  # noqa: S108 - the container's own
    assert chosen["restart"] == "unless-stopped"
    assert chosen["pids_limit"] > 0


def test_the_limit_of_threads_has_room_for_the_server_on_64_cores(tmp_path: Path) -> None:
    tiny.write_model(tmp_path)
    cores = {"threads": 64, "streams": 64, "openblas_num_threads": 64}
    with serve(model=tiny.NAME, models_dir=tmp_path, quantization="fp32", **cores) as served:
        with ThreadPoolExecutor(16) as callers:
            list(callers.map(served.embed, [["a", "the cat"]] * 64))
        status = Path(f"/proc/{served.process.pid}/status").read_text("utf-8")
    (threads,) = map(int, re.findall(r"Threads:\s+(\d+)", status))
    assert 64 < threads < service("cpu")["pids_limit"] // 2


def test_accepted_requests_may_end_before_a_stop_kills() -> None:
    timeout = next(float(row.default) for row in SETTINGS if row.name == "REQUEST_TIMEOUT_S")
    assert all(int(service(profile)["stop_grace_period"].removesuffix("s")) > timeout for profile in ("cpu", "gpu"))


def test_only_the_gpu_profile_reserves_a_device() -> None:
    assert "deploy" not in service("cpu")
    (device,) = service("gpu")["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_every_setting_reaches_the_server(profile: str) -> None:
    passed = set(service(profile)["environment"])
    assert passed == {row.name for row in SETTINGS} - FIXED_BY_IMAGE
    assert set(image_environment(stages(f"Dockerfile.{profile}")[1]["runtime"])) >= FIXED_BY_IMAGE


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_build_arguments_have_the_defaults_of_the_dockerfile(profile: str) -> None:
    head, by_name = stages(f"Dockerfile.{profile}")
    places = [by_name["runtime"].steps, head, by_name["packages"].steps, by_name["builder"].steps]
    declared = {name: value for steps in places for name, value in arguments(steps).items()}
    passed = service(profile)["build"]["args"]
    assert {name: declared[name] for name in passed} == passed


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_monitoring_is_reached_from_this_machine_alone_and_confined(name: str) -> None:
    chosen = services("compose.yaml", {})[name]
    assert chosen["profiles"] == ["monitoring"]
    assert all(port.startswith("127.0.0.1:") for port in chosen["ports"])
    assert chosen["read_only"] is True
    assert chosen["cap_drop"] == ["ALL"]
    assert re.search(r":v?\d", chosen["image"])
    assert 0 < chosen["pids_limit"] <= 1024


def test_grafana_has_no_password_to_guess_and_sends_nothing_out() -> None:
    environ = services("compose.yaml", {})["grafana"]["environment"]
    assert environ["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environ["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environ["GF_SNAPSHOTS_EXTERNAL_ENABLED"] == environ["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    assert "GF_AUTH_ANONYMOUS_ORG_ROLE" not in environ  # a Viewer by default


def test_what_monitoring_mounts_is_there() -> None:
    mounts = [mount for name in ("prometheus", "grafana") for mount in services("compose.yaml", {})[name]["volumes"]]
    paths = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(paths) == 4
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_prometheus_finds_every_server_and_sends_its_key() -> None:
    scraped = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text("utf-8"))
    (job,) = scraped["scrape_configs"]
    (discovery,) = job["dns_sd_configs"]
    chosen = services("compose.yaml", {})
    for profile in ("cpu", "gpu"):
        assert service(profile)["networks"]["default"]["aliases"] == discovery["names"]
        assert service(profile)["ports"] == [f"8000:{discovery['port']}"]
    assert f"> {job['authorization']['credentials_file']} &&" in chosen["prometheus"]["command"][0]
    assert scraped["rule_files"] == [
        mount.split(":")[1] for mount in chosen["prometheus"]["volumes"] if "alerts" in mount
    ]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/embedding.yaml").read_text("utf-8"))["providers"]
    grafana, prometheus = (services("compose.yaml", {})[name] for name in ("grafana", "prometheus"))
    assert source["url"] == f"http://prometheus:{prometheus['ports'][0].rsplit(':', 1)[1]}"
    mounted = {mount.split(":")[0]: mount.split(":")[1] for mount in grafana["volumes"]}
    assert mounted["./deploy/grafana.json"].rsplit("/", 1)[0] == provider["options"]["path"]
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == mounted["./deploy/grafana.json"]


def parsed(document: dict[str, Any]) -> Any:
    """Parse a compose file with a strict implementation of the Compose Specification."""
    if importlib.util.find_spec("compose_spec") is None:
        pytest.skip("compose-spec is not installed: requirements/test.txt has it")
    return importlib.import_module("compose_spec").PyCompose.from_yaml(yaml.safe_dump(document))


@pytest.mark.parametrize("profile", ["cpu", "gpu", "monitoring"])
@pytest.mark.parametrize("precision", ["", *QUANTIZATIONS])
def test_a_parser_of_the_specification_accepts_every_profile(profile: str, precision: str) -> None:
    environ = {"QUANTIZATION": precision, "MEMORY_LIMIT": "900m", "PORT": "9000"} if precision else {}
    whole = filled(yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8")), environ)
    chosen = {name: one for name, one in services("compose.yaml", environ).items() if profile in one["profiles"]}
    assert sorted(parsed({**whole, "services": chosen}).service_names()) == sorted(chosen)


@pytest.mark.parametrize("wrong", [{"mem_limitt": "1g"}, {"mem_limit": "lots"}, {"ports": ["80:http"]}, {"tmpfs": 3}])
def test_that_parser_refuses_what_compose_would(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"services\.one"):
        parsed({"services": {"one": {"image": "a"} | wrong}})


@pytest.mark.parametrize("profiles", ["cpu", "gpu", "monitoring", "cpu gpu monitoring"])
def test_compose_itself_accepts_every_profile(profiles: str) -> None:
    accept(profiles.split(), {})


@pytest.mark.parametrize("precision", QUANTIZATIONS)
def test_compose_itself_finds_the_limits_of_every_precision(precision: str) -> None:
    accept(["cpu"], {"QUANTIZATION": precision})


def accept(profiles: list[str], environ: dict[str, str]) -> None:
    chosen = [f"--profile={profile}" for profile in profiles]
    command = [*compose_command(), "-f", "compose.yaml", *chosen, "config", "--quiet"]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@cache
def compose_command() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        installed = shutil.which(command[0]) is not None
        if installed and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("neither docker compose nor docker-compose is installed")
