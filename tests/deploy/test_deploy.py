"""What is shipped for servers and clusters is at least well-formed; it is not run here, and says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def values() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "helm-values.yaml").read_text(encoding="utf-8")))


def test_the_image_recipe_passes_hadolint() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{sys.prefix}/bin") or shutil.which(
        "hadolint"
    )
    if hadolint is None:
        pytest.skip("hadolint is not installed: `make install` installs it")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_holds_every_package_and_nothing_that_is_not_there() -> None:
    recipe = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in recipe.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert set(packages) <= copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("name", ["Dockerfile", "helm-values.yaml"])
def test_what_was_not_run_says_so(name: str) -> None:
    assert "NOT RUN HERE" in (text := (DEPLOY / name).read_text(encoding="utf-8")) or "NOT BUILT HERE" in text


def test_pods_made_from_the_helm_values_are_valid_kubernetes(tmp_path: Path) -> None:
    """The chart cannot be had here; what the values put into pods is held against Kubernetes' own schema."""
    pytest.importorskip("kubernetes_validate")
    server = values()["dagster-user-deployments"]["deployments"][0]
    run = values()["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    image = server["image"]
    container = {
        "name": server["name"],
        "image": f"{image['repository']}:{image['tag']}",
        "imagePullPolicy": image["pullPolicy"],
        "args": server["dagsterApiGrpcArgs"],
        "ports": [{"containerPort": server["port"]}],
        "env": server["env"],
        "envFrom": [{"secretRef": secret} for secret in server["envSecrets"]],
        "volumeMounts": server["volumeMounts"],
        "resources": server["resources"],
    }
    pod = {"containers": [container], "volumes": server["volumes"]}
    labels = {"app": server["name"]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": server["name"]},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    worker = {**container, **run["containerConfig"], "env": values()["dagsterDaemon"]["env"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "run"},
        "spec": {
            **run["jobSpecConfig"],
            "template": {"spec": {**pod, "containers": [worker], "restartPolicy": "Never"}},
        },
    }
    for resource in (deployment, job):
        file = tmp_path / f"{resource['kind']}.json"
        file.write_text(json.dumps(resource))
        done = subprocess.run(
            [sys.executable, "-m", "kubernetes_validate", "--strict", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_instance_on_kubernetes_and_on_a_server_have_the_same_limits() -> None:
    server = yaml.safe_load((DEPLOY / "dagster-postgres.yaml").read_text(encoding="utf-8"))
    daemon = values()["dagsterDaemon"]
    assert daemon["runRetries"]["maxRetries"] == server["run_retries"]["max_retries"]
    assert daemon["runMonitoring"]["maxRuntimeSeconds"] == server["run_monitoring"]["max_runtime_seconds"]
    assert values()["concurrency"]["pools"]["defaultLimit"] == server["concurrency"]["pools"]["default_limit"]
    assert values()["postgresql"]["postgresqlScheme"] == server["storage"]["postgres"]["postgres_db"]["scheme"]


def test_no_file_names_a_key_or_password() -> None:
    for file in DEPLOY.iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            assert "password:" not in line.lower() or "env:" in line, f"{file.name}: {line}"
