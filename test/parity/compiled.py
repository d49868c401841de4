"""What stands for the operations that mmcv-lite leaves out: MMSegmentation imports them, and no U-Net calls them."""

from __future__ import annotations

import sys
import types


class _Operations(types.ModuleType):
    """Has any operation by name; one that is called after all fails."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": _refuse})


def _refuse(self: object, *arguments: object, **options: object) -> None:
    raise NotImplementedError(f"{type(self).__name__} is a compiled operation, which mmcv-lite does not have")


def stub_compiled_operations() -> None:
    """Put the stand-in where `mmcv.ops` would be."""
    sys.modules.setdefault("mmcv.ops", _Operations("mmcv.ops"))
