"""HCCL on the processor: ranks of one host that talk through a socket which rank 0 listens at.

Collectives of a graph take place in the order in which they were made, one at a time, as the device's compiler orders
them. All ranks must come to the same one: what differs is an error on every rank, and so is a rank that is gone.
"""

import os
import threading
import time
from multiprocessing.connection import Client, Listener

import numpy as np
import tensorflow.compat.v1 as tf

LAST = "npu_bridge_last_collective"
WORDS = ("int8", "int32", "float16", "float32")
"""What every generation of the 910 sends."""
CONNECT_SECONDS = 60.0
_state = {"connection": None, "initialised": False, "made": 0}
_lock = threading.Lock()


def rank():
    """This process' own: of the table, or where a chief gives them out, that of its device."""
    return int(os.environ.get("RANK_ID") or os.environ.get("ASCEND_DEVICE_ID") or "0")


def ranks():
    return int(os.environ.get("RANK_SIZE") or os.environ.get("CM_WORKER_SIZE") or "1")


def allreduce(tensor, reduction, fusion, fusion_id, group):
    if reduction != "sum":
        raise ValueError(f"reduction {reduction}")
    _check_type(tensor)
    return allreduce_(tensor)


def allgather(tensor, rank_size, group, fusion=0, fusion_id=-1):
    _check_type(tensor)
    if rank_size != ranks():
        raise ValueError(f"rank_size {rank_size} of {ranks()} ranks")
    return _collective("allgather", tensor, np.concatenate)


def broadcast(tensor, root_rank, fusion, fusion_id, group):
    if not isinstance(tensor, (list, tuple)):
        raise TypeError("broadcast takes a list of tensors")
    for each in tensor:
        _check_type(each)
    return [broadcast_(each, root_rank) for each in tensor]


def initialize_system(name):
    def begin():
        _state["initialised"] = True
        return np.bool_(True)

    return tf.numpy_function(begin, [], tf.bool, name="hccl_initialize")


def shutdown_system(name):
    return tf.no_op()


def get_rank_id(group):
    _require_initialised()
    return rank()


def get_rank_size(group):
    _require_initialised()
    return ranks()


def get_local_rank_id(group):
    _require_initialised()
    return rank()


def get_local_rank_size(group):
    _require_initialised()
    return ranks()


def allreduce_(tensor):
    return _collective("allreduce", tensor, lambda rows: np.sum(rows, axis=0, dtype=rows[0].dtype), tensor.shape)


def broadcast_(tensor, root):
    return _collective("broadcast", tensor, lambda rows: rows[root], tensor.shape)


def average(pairs, size):
    """Gradients as means over the ranks, in one collective for all of them."""
    there = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
    if size == 1 or not there:
        return pairs
    flat = tf.concat([tf.reshape(gradient, [-1]) for gradient, _ in there], 0)
    parts = tf.split(allreduce_(flat) / size, [gradient.shape.num_elements() for gradient, _ in there])
    return [(tf.reshape(part, gradient.shape), variable) for part, (gradient, variable) in zip(parts, there)]


def end_of_step(graph):
    """What is made from here on is no part of a step, and does not wait for its collectives."""
    graph.clear_collection(LAST)


def _check_type(tensor):
    if tf.as_dtype(tensor.dtype).base_dtype.name not in WORDS:
        raise TypeError(f"HCCL sends no {tensor.dtype}")


def _require_initialised():
    if not _state["initialised"]:
        raise RuntimeError("HCCL is not initialised")


def _collective(kind, tensor, combine, shape=None):
    """`combine` of the values of all ranks, in their order, as an operation of the graph."""
    graph = tf.get_default_graph()
    with _lock:
        _state["made"] += 1
        name = f"hccl_{kind}_{_state['made']}"

    def exchange(value):
        return np.asarray(combine(_exchanged(name, value)))

    conditional = graph._get_control_flow_context() is not None
    before = [] if conditional else graph.get_collection(LAST)[-1:]
    with tf.control_dependencies(before):
        result = tf.numpy_function(exchange, [tensor], tensor.dtype.base_dtype, name=name)
    if not conditional:
        graph.add_to_collection(LAST, result.op)
    if shape is not None:
        result.set_shape(shape)
    return result


def _exchanged(name, value):
    if ranks() == 1:
        return [value]
    with _lock:
        if _state["connection"] is None:
            _state["connection"] = _connect()
        try:
            _state["connection"].send((rank(), name, value))
            answer = _state["connection"].recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"HCCL: a rank is gone ({error})") from error
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


def _connect():
    path = os.environ["NPU_BRIDGE_HCCL"]
    if rank() == 0:
        listener = Listener(path, "AF_UNIX", backlog=ranks())
        threading.Thread(target=_serve, args=(listener, ranks()), daemon=True).start()
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return Client(path, "AF_UNIX")
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _serve(listener, size):
    """Hand what all ranks say in a round to all of them, rank 0 last: its process ends with this thread."""
    connections = [listener.accept() for _ in range(size)]
    try:
        while True:
            said = [(connection.recv(), connection) for connection in connections]
            said.sort(key=lambda pair: -pair[0][0])
            names = {name for (_, name, _), _ in said}
            rows = [value for (_, _, value), _ in reversed(said)]
            answer = rows if len(names) == 1 else f"HCCL: the ranks differ: {sorted(names)}"
            for _, connection in said:
                connection.send(answer)
    except (EOFError, OSError):
        for connection in connections:
            connection.close()
