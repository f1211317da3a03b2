"""The shape of the repository: arrows, packaging, and what loading the code location costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("affectlake", "assets", "dagster_project", "resources", "sql", "studies")
MAY_IMPORT = {
    "affectlake": {"affectlake"},
    "sql": {"sql", "affectlake"},
    "studies": {"studies"},
    "resources": {"resources", "affectlake", "sql"},
    "assets": {"assets", "resources", "affectlake", "sql"},
    "dagster_project": set(PACKAGES),
}
DOORS = {"affectlake/__init__.py": {"resources"}}
"""The one exception: notebooks open the lake as ``affectlake.open_lake()``, which is where users look for it. The
function imports when it is called and belongs to no computation, so the science still stands by itself (see below)."""
HEAVY = ("torch", "nilearn", "sklearn", "anthropic", "openai", "sentence_transformers", "numba", "scipy")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        allowed = MAY_IMPORT[package] | DOORS.get(str(path.relative_to(ROOT)), set())
        against = imported(path) & set(PACKAGES) - allowed
        assert not against, f"{path} imports {against}"


def test_importing_the_science_loads_nothing_that_stands_above_it() -> None:
    code = f"import sys, affectlake; print([m for m in {[*PACKAGES[1:], 'deltalake', 'duckdb']!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_science_imports_no_orchestrator_no_table_format_and_no_service() -> None:
    for path in (ROOT / "affectlake").rglob("*.py"):
        forbidden = imported(path) & {
            "dagster",
            "deltalake",
            "socket",
            "urllib",
            "requests",
            "httpx",
            "openai",
            "anthropic",
        }
        assert not forbidden, f"{path} imports {forbidden}"


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    code = f"import sys, dagster_project.definitions as d; d.defs();print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_loading_the_definitions_takes_less_than_five_seconds_of_cpu() -> None:
    code = "import time, dagster_project.definitions as d; d.defs(); print(time.process_time())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout.strip().splitlines()[-1]) < 5


def test_no_other_distribution_brings_a_package_of_the_same_name() -> None:
    owners = packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["affectlake"])) == {"affectlake"}


def test_every_package_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(PACKAGES)


def test_workspace_and_dg_name_the_same_location() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    module = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"][0]["python_module"]
    assert module["location_name"] == project["code_location_name"]
    assert module["module_name"] == project["code_location_target_module"]


def test_dagster_accepts_the_definitions() -> None:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
