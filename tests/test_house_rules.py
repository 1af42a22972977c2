"""The house: linters, types, who imports whom, and what the pure packages must not even mention."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("mpi_core/protocol", "mpi_core/swarm", "mpi_core/sim", "tui_torrent/view")
PURE_FILES = sorted(file for folder in PURE for file in (ROOT / folder).rglob("*.py"))

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy --strict": ["mypy"],
    "import contracts": ["lint-imports"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_checkers_find_nothing(name: str) -> None:
    program, *arguments = CHECKS[name]
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    assert found, f"{program} is not installed: pip install -e '.[test]'"
    done = subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def calls(tree: ast.AST) -> Iterator[str]:
    """The dotted names of all that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("file", PURE_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_pure_module_opens_no_file_and_draws_from_no_hidden_generator(file: Path) -> None:
    impure = [
        name for name in calls(ast.parse(file.read_text())) if name == "open" or name.startswith("random.")
    ]
    assert not impure


@pytest.mark.parametrize("folder", ["mpi_core", "tui_torrent", "tests", "demo"])
def test_no_file_is_two(folder: str) -> None:
    long = {str(f): n for f in (ROOT / folder).rglob("*.py") if (n := len(f.read_text().splitlines())) > 400}
    assert not long
