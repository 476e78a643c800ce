"""Plug-ins: a user's own code, named as `package.module:function` in the configuration.

It is found among the installed packages and in the working directory, and tried once before the daemon starts.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from streamlearn.core.regularizers import Function
from streamlearn.errors import ConfigurationError, line

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


def load(name: str, key: str) -> Any:
    """The function of this name; key: what to call it where it cannot be had."""
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever a user's module does while it is imported
        raise ConfigurationError(f"{key} cannot be loaded ({line(error)}); name package.module:function") from error
    if not callable(function):
        raise ConfigurationError(f"{key} is no function; name package.module:function")
    return function
