"""The rooms and their rules, read from the source: who may import whom, where I/O may be, how large things may get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import streamlearn

ROOT = Path(streamlearn.__file__).parent

# From the innermost room outwards; a module may import from its own level and from those before it.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("streamlearn", "streamlearn.errors"),
    ("streamlearn.core",),
    ("streamlearn.config",),
    ("streamlearn.queries",),
    ("streamlearn.learner",),
    ("streamlearn.service",),
    ("streamlearn.edges",),
    (
        "streamlearn.assemble",
        "streamlearn.loading",
        "streamlearn.contradictions",
        "streamlearn.contradictions_of_models",
        "streamlearn.limits",
        "streamlearn.settings",
    ),
    ("streamlearn.evaluation", "streamlearn.river"),
    ("streamlearn.commands", "streamlearn.demo", "streamlearn.figures"),
    ("streamlearn.cli",),
    ("streamlearn.__main__",),
)
WITHOUT_IO = ("streamlearn.core", "streamlearn.queries", "streamlearn.learner", "streamlearn.service")
IO_MODULES = {
    "asyncio", "fcntl", "http", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select",
    "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "time", "urllib", "uuid",
}  # fmt: skip
IO_CALLS = {"open", "print", "input"}
MODULE_LINES_MOST, FUNCTION_LINES_MOST = 300, 70


class Module(NamedTuple):
    name: str
    text: str
    tree: ast.Module


def _modules() -> Iterator[Module]:
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("streamlearn", *path.relative_to(ROOT).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text()
        yield Module(name, text, ast.parse(text))


MODULES = list(_modules())
every_module = pytest.mark.parametrize("module", MODULES, ids=[module.name for module in MODULES])


def level(name: str) -> int:
    """Which level a module belongs to: that of the longest prefix."""
    matches = [
        (len(room), number)
        for number, rooms in enumerate(LEVELS)
        for room in rooms
        if name == room or (name.startswith(room + ".") and room != "streamlearn")
    ]
    assert matches, f"{name} is in no room: say in LEVELS where it belongs"
    return max(matches)[1]


def imports(module: Module) -> Iterator[str]:
    """Every module that is imported, also inside functions."""
    names = {other.name for other in MODULES}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in names else node.module


def decorators(node: ast.ClassDef) -> set[str]:
    calls = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    return {each.attr if isinstance(each, ast.Attribute) else ast.unparse(each) for each in calls}


def bases(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases}


@every_module
def test_imports_go_one_way(module: Module) -> None:
    if module.name == "streamlearn":
        return  # the front door: it opens on `loading`, once it is called
    wrong = [
        name for name in imports(module) if name.partition(".")[0] == "streamlearn" and level(name) > level(module.name)
    ]
    assert wrong == []


@every_module
def test_inner_rooms_do_no_io(module: Module) -> None:
    if not module.name.startswith(WITHOUT_IO):
        return
    allowed = {"logging"} if module.name.startswith("streamlearn.service") else set()
    wrong = {name.partition(".")[0] for name in imports(module)} & (IO_MODULES - allowed)
    calls = {
        node.func.id for node in ast.walk(module.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert wrong | (calls & IO_CALLS) == set()


@every_module
def test_no_global_random_state(module: Module) -> None:
    allowed = {"default_rng", "Generator", "PCG64", "Philox", "SeedSequence"}
    used = {
        node.attr
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random")
    }
    assert used - allowed == set()


@every_module
def test_classes_are_abstract_or_final(module: Module) -> None:
    open_kinds = {"ABC", "Protocol", "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum"}
    exceptions = {"Exception", "StreamlearnError"}
    wrong = [
        node.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and not decorators(node) & {"final", "dataclass"}
        and not bases(node) & (open_kinds | exceptions)
    ]
    assert wrong == []


@every_module
def test_nothing_gets_too_large(module: Module) -> None:
    assert len(module.text.splitlines()) <= MODULE_LINES_MOST
    wrong = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MOST
    }
    assert wrong == {}


@every_module
def test_every_module_says_what_it_is(module: Module) -> None:
    assert not module.text or ast.get_docstring(module.tree)


def test_only_one_file_knows_prometheus() -> None:
    users = [module.name for module in MODULES if any(name.startswith("prometheus_client") for name in imports(module))]
    assert users == ["streamlearn.edges.prometheus"]
