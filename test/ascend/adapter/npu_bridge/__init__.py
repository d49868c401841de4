"""A recording double of Ascend's adapter: strict about what it is told, and training on the processor behind it.

Put the directory above on PYTHONPATH. NPU_BRIDGE_DOUBLE names the generation ("2021" or "2026", the default), and for
several ranks NPU_BRIDGE_HCCL a path for the socket that they talk through. What was called stands in `calls`, in
order: (name, arguments by name).
"""

import os

from npu_bridge.modules import install

calls = []

install(os.environ.get("NPU_BRIDGE_DOUBLE", "2026"), calls)
