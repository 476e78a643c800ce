"""A user's regularizer: found beside the configuration, tried once, and refused in one line where it cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest

from streamlearn.edges import plugins
from streamlearn.errors import ConfigurationError

SOURCE = """
import numpy as np

def huber(theta):
    root = np.sqrt(1.0 + theta * theta)
    return (root - 1.0).sum(), theta / root

def fails(theta):
    raise RuntimeError("two\\nlines")

def alone(theta):
    return 0.5 * theta @ theta

def short(theta):
    return 0.0, theta[1:]

def endless(theta):
    return float("nan"), theta

number = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path) -> Iterator[None]:
    """A working directory with a module in it, and nothing left of it afterwards."""
    (tmp_path / "own_shape.py").write_text(SOURCE)
    (tmp_path / "own_broken.py").write_text("1 / 0\n")
    (tmp_path / "own_script.py").write_text("raise SystemExit('usage: own_script')\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package/inside.py").write_text(SOURCE)
    before = sys.path.copy()
    with chdir(tmp_path):
        yield
    sys.path[:] = before
    for name in ("own_shape", "own_broken", "own_script", "own_package.inside", "own_package"):
        sys.modules.pop(name, None)


def test_a_function_in_the_working_directory_is_found() -> None:
    value, gradient = plugins.regularizer("own_shape:huber")(np.array([0.0, 1.0]))
    assert value == pytest.approx(np.sqrt(2.0) - 1.0)
    np.testing.assert_allclose(gradient, [0.0, np.sqrt(0.5)])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("own_shape:fails", "RuntimeError: two lines"),
        ("own_shape:alone", "must return R(theta) and its gradient"),
        ("own_shape:short", "a gradient of the shape (2,) for 3 parameters"),
        ("own_shape:endless", "the value nan"),
        ("own_shape:absent", "cannot be loaded"),
        ("own_shape:number", "is no function"),
        ("own_broken:huber", "ZeroDivisionError"),
        ("own_script:huber", "SystemExit: usage: own_script"),
        ("no_such_module:huber", "ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_that_names_the_key(name: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        plugins.regularizer(name)
    assert f"regularity.regularizer {name}" in str(refused.value)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_function_in_a_package_is_found() -> None:
    assert 2.0 == plugins.load("own_package.inside:alone", "a key")(np.array([2.0, 0.0]))


def test_whatever_is_loaded_is_refused_by_the_key_that_named_it() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^model\.kind own_shape:absent cannot be loaded \(AttributeError: .*"
    ):
        plugins.load("own_shape:absent", "model.kind own_shape:absent")
    with pytest.raises(ConfigurationError, match=r"^model\.kind own_shape:number is no function; name package\.module"):
        plugins.load("own_shape:number", "model.kind own_shape:number")
