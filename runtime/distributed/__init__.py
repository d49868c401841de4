"""The ranks of a run behind one interface: one process, or Horovod; Ascend's HCCL fits in the same way."""
