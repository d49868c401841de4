"""Packages that only some commands need."""

from __future__ import annotations

import importlib

from utils.errors import UserError


def require_module(module: str, what: str, repair: str) -> None:
    """Make sure that `module` can be imported, which `what` needs.

    Raises:
        UserError: it cannot; the text says why, and `repair`.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{what}: {error}", f"the package {module.split('.', maxsplit=1)[0]}", repair) from error


def version_of(module: str) -> str:
    """The version of a module that can be imported."""
    return str(importlib.import_module(module).__version__)
