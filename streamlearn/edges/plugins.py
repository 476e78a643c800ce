"""Plug-ins: a user's own code, named as `package.module:function` in the configuration.

It is found among the installed packages and in the working directory, and tried once before the daemon starts, as far as it can
be without an event.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.core.regularizers import Function
from streamlearn.errors import ConfigurationError, line
from streamlearn.service.transforming import Transforming

TRIED_ON = 3  # parameters


def regularizer(name: str) -> Function:
    """A function that takes the penalised parameters (m,) and returns R and its gradient (m,)."""
    key = f"regularity.regularizer {name}"
    function: Function = load(name, key)
    try:
        value, gradient = function(np.linspace(0.5, 1.0, TRIED_ON))
        value, shape = float(value), np.shape(np.asarray(gradient, dtype=float))
    except Exception as error:
        raise ConfigurationError(
            f"{key} failed on {TRIED_ON} parameters ({line(error)}); it must return R(theta) and its gradient"
        ) from error
    if shape != (TRIED_ON,) or not np.isfinite(value):
        raise ConfigurationError(
            f"{key} returned the value {value} and a gradient of the shape {shape} for {TRIED_ON} parameters; "
            f"it must return R(theta) and a gradient of the shape ({TRIED_ON},)"
        )
    return function


def transformer(name: str) -> Transforming:
    """A transformer of river, or what makes one without arguments; a copy of its own, as a restart would have it."""
    key = f"features.river {name}"
    found = _attribute(name, key)
    try:
        made = found if hasattr(found, "transform_one") and not isinstance(found, type) else found()
        fits = callable(made.transform_one) and callable(made.learn_one)
    except Exception as error:
        raise ConfigurationError(
            f"{key} makes no transformer ({line(error)}); name one of river, or what makes one without arguments"
        ) from error
    if not fits or getattr(made, "_supervised", False):
        raise ConfigurationError(
            f"{key} learns from labels ({type(made).__name__}), which events have none of; "
            "name a transformer that learns from x alone"
        )
    try:
        return Transforming(name, pickle.loads(pickle.dumps(made)))
    except Exception as error:
        raise ConfigurationError(
            f"{key} cannot be saved ({line(error)}); make it of named functions and classes, which pickle can"
        ) from error


def load(name: str, key: str) -> Any:
    """The function of this name; key: what to call it where it cannot be had."""
    function = _attribute(name, key)
    if not callable(function):
        raise ConfigurationError(f"{key} is no function; name package.module:function")
    return function


def _attribute(name: str, key: str) -> Any:
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever a user's module does while it is imported
        raise ConfigurationError(f"{key} cannot be loaded ({line(error)}); name package.module:function") from error
