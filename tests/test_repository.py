"""The repository keeps its own rules: layers, bounds, exact versions, manifests, and what the wheel holds."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "mcp_orchestrator", ROOT / "memory" / "orchestrator_memory")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DECLARED = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
OPTIONAL = [Requirement(text) for group in PROJECT["project"]["optional-dependencies"].values() for text in group]
DEVELOPMENT = [Requirement(text) for group in PROJECT["dependency-groups"].values() for text in group]


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of the packages below ``folder``."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{folder / 'memory'}", "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_import_contracts_hold() -> None:
    checked = contracts(ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.requirement("components.independent")
@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("mcp_orchestrator/core/engine.py", "from mcp_orchestrator import app", "Layers"),
        ("mcp_orchestrator/methods/metrics/__init__.py", "from mcp_orchestrator import components", "Layers"),
        ("mcp_orchestrator/nobody.py", "", "Layers"),
        (
            "mcp_orchestrator/components/training/early_stopping.py",
            "from ..evaluation import enhanced_scorer",
            "Components",
        ),
        ("mcp_orchestrator/core/engine.py", "def f():\n    from mcp_orchestrator import methods", "The engine"),
        ("mcp_orchestrator/server/__init__.py", "def f():\n    import pandas", "Nothing outside"),
        ("memory/orchestrator_memory/door.py", "import mcp_orchestrator.errors", "The memory"),
    ],
)
def test_each_contract_breaks_on_a_deliberate_violation(tmp_path: Path, file: str, line: str, broken: str) -> None:
    for package in PACKAGES:
        shutil.copytree(package, tmp_path / package.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    for name in (file, "mcp_orchestrator/components/evaluation/enhanced_scorer.py"):
        (tmp_path / name).open("a").close()
    with (tmp_path / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    checked = contracts(tmp_path)
    assert checked.returncode == 1, checked.stdout
    assert re.search(rf"^{broken}.* BROKEN$", checked.stdout, re.MULTILINE), checked.stdout


@pytest.mark.parametrize("requirement", [*DECLARED, *OPTIONAL, *DEVELOPMENT], ids=str)
def test_each_dependency_has_a_lower_and_an_upper_bound(requirement: Requirement) -> None:
    kinds = {one.operator for one in requirement.specifier}
    assert kinds & {">=", ">", "=="}
    assert kinds & {"<", "<=", "=="}


def test_constraints_pin_each_dependency_within_its_bounds_and_with_a_hash() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)
    pinned = [Requirement(block.split("\\", 1)[0].strip()) for block in blocks]
    for wanted in (*DECLARED, *(Requirement(text) for text in PROJECT["dependency-groups"]["dev"])):
        found = [one for one in pinned if canonicalize_name(one.name) == canonicalize_name(wanted.name)]
        versions = [Version(str(one.specifier).removeprefix("==")) for one in found]
        assert versions, f"{wanted.name} is not pinned: make lock"
        assert all(version in wanted.specifier for version in versions), f"{wanted.name}: make lock"


def test_constraints_name_no_host_and_no_place() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert not re.search(r"://|^-|^\s+--(?!hash=)|\bfile:|^\s*#", text, re.MULTILINE)


def test_every_library_that_the_packages_import_is_declared() -> None:
    own = {package.name for package in PACKAGES}
    names = {
        "sklearn": "scikit-learn",
        "pydantic_core": "pydantic",
        "mcp_types": "mcp",
        "yaml": "pyyaml",
        "jwt": "pyjwt",
    }
    imported: dict[str, str] = {}
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.Import(names=aliases):
                        modules = [alias.name for alias in aliases]
                    case ast.ImportFrom(module=str(module), level=0):
                        modules = [module]
                    case _:
                        continue
                imported |= {module.partition(".")[0]: str(path) for module in modules}
    foreign = imported.keys() - sys.stdlib_module_names - own
    declared = {canonicalize_name(one.name) for one in (*DECLARED, *OPTIONAL)}
    undeclared = {name: imported[name] for name in foreign if canonicalize_name(names.get(name, name)) not in declared}
    assert not undeclared


def test_no_source_file_is_much_longer_than_three_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for package in PACKAGES
        for path in package.rglob("*.py")
        if (count := len(path.read_text("utf-8").splitlines())) > 320
    }
    assert not long


@pytest.mark.requirement("card.layout")
@pytest.mark.parametrize(
    "name",
    [
        "pyproject.toml",
        "README.md",
        "mcp_orchestrator",
        "agents",
        "memory",
        "tests",
        "server.json",
        "skills",
        "LICENSE",
    ],
)
def test_the_parts_that_the_design_card_names_stand_at_the_top(name: str) -> None:
    place = ROOT / name
    assert any(place.iterdir()) if place.is_dir() else place.stat().st_size > 0


def test_no_import_package_of_ours_takes_a_common_name() -> None:
    assert not [name for name in ("agents", "memory", "skills") if (ROOT / name / "__init__.py").exists()]


def test_the_registry_s_entry_is_valid_and_agrees_with_the_project() -> None:
    entry = json.loads((ROOT / "server.json").read_text("utf-8"))
    version = PROJECT["project"]["version"]
    assert entry["$schema"] == "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["description"]) <= 100
    assert entry["version"] == version
    assert entry.keys() <= {
        "$schema",
        "name",
        "title",
        "description",
        "version",
        "packages",
        "repository",
        "websiteUrl",
        "icons",
    }
    (package,) = entry["packages"]
    assert (package["registryType"], package["identifier"], package["version"]) == (
        "pypi",
        PROJECT["project"]["name"],
        version,
    )
    assert package["transport"] == {"type": "stdio"}
    assert package["identifier"] in PROJECT["project"]["scripts"], "uvx starts the script of the package's name"
    assert all(argument["type"] in {"positional", "named"} for argument in package.get("packageArguments", []))
    for variable in package.get("environmentVariables", []):
        assert variable["name"].startswith("MCP_ORCHESTRATOR_")
        assert variable["description"]
        assert variable.get("format", "string") in {"string", "number", "boolean", "filepath"}
    marker = f"mcp-name: {entry['name']}"
    assert marker in (ROOT / "README.md").read_text("utf-8"), f"README.md needs the comment <!-- {marker} -->"


def test_the_wheel_holds_both_packages_and_the_markdown_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    info = f"mcp_ml_orchestrator-{PROJECT['project']['version']}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"mcp_orchestrator", "orchestrator_memory", info}
    assert {
        *(f"mcp_orchestrator/agents/{one.name}" for one in (ROOT / "agents").iterdir()),
        *(f"mcp_orchestrator/skills/{one.name}/SKILL.md" for one in (ROOT / "skills").iterdir()),
        "mcp_orchestrator/py.typed",
        "orchestrator_memory/door.py",
        f"{info}/licenses/LICENSE",
    } <= set(names)
