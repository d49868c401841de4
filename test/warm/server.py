"""Imports once, forks often: `server.py SOCKET IMPORT,... SCRIPT ...`. Ends when its standard input does, and takes the
directory of the socket away.

A fork is a safe copy only of a process without threads that it would need. Nothing here starts any: sessions of
TensorFlow, and what Horovod does once it is initialised, start them in the forks. Importing NumPy and SciPy starts the
workers of OpenBLAS, which ends them before a fork and starts them after it. The number of threads is printed, once all
is imported.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import io
import json
import os
import select
import shutil
import signal
import socket
import sys

# What libraries read when they are imported begins with one of these, the interpreter's own variables too.
READ_AT_IMPORT = ("ABSL_", "CUDA_", "GLIBC_", "GOMP_", "GRPC_", "KMP_", "LANG", "LC_", "LD_", "MALLOC_", "MKL_",
                  "NUMEXPR_", "NVIDIA_", "OMP_", "OPENBLAS_", "PYTHON", "TF_", "XLA_")
# scikit-learn sets these when it is imported, for those that it starts as for itself; to what is here they are nothing.
SET_ON_IMPORT = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}
# What the interpreter reads when it starts, and a fork can be given later; the launcher of ranks sets it for them.
UNBUFFERED = "PYTHONUNBUFFERED"
SITE = {"sitecustomize", "usercustomize"}
REQUEST_BYTES = 1 << 20


def import_all(names):
    """Import what is installed; the classes of Estimators are imported when they are first named."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    tensorflow = sys.modules.get("tensorflow.compat.v1")
    getattr(getattr(tensorflow, "estimator", None), "Estimator", None)


def fits(request, scripts):
    """Whether a fork of this process would be what the interpreter makes of a request."""
    arguments, environment = request["arguments"], request["environment"]
    # What lies on a path may come before what is imported already.
    loaded = SITE.union(name.split(".")[0] for name in sys.modules)
    return (arguments and os.path.realpath(os.path.join(request["directory"], arguments[0])) in scripts
            and read_at_import(environment) == read_at_import(os.environ)
            and not loaded.intersection(name.split(".")[0] for place in python_path(environment)
                                        if os.path.isdir(place) for name in os.listdir(place)))


def read_at_import(environment):
    return {name: value for name, value in environment.items()
            if name.startswith(READ_AT_IMPORT) and name not in {"PYTHONPATH", UNBUFFERED, *SET_ON_IMPORT}}


def python_path(environment):
    return list(filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)))


def become(request, descriptors):
    """Turn this process into what the request asks for, up to the script itself."""
    os.setpgid(0, 0)  # Signals of a terminal come by the client, and once.
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["directory"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else default)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    if os.environ.get(UNBUFFERED):
        sys.stdout = sys.__stdout__ = unbuffered(sys.stdout)
        sys.stderr = sys.__stderr__ = unbuffered(sys.stderr)
    sys.argv[:] = request["arguments"]
    sys.path[0] = os.path.dirname(os.path.realpath(sys.argv[0]))
    sys.path[1:1] = python_path(os.environ)


def unbuffered(stream):
    raw = io.FileIO(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=stream.line_buffering,
                            write_through=True)


def receive(connection):
    """A request and its standard streams."""
    descriptors = array.array("i")
    data, ancillary, _, _ = connection.recvmsg(REQUEST_BYTES, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for _, _, received in ancillary:
        descriptors.frombytes(received[:len(received) - len(received) % descriptors.itemsize])
    return json.loads(data), descriptors


class Forks:
    """The forks of this process, and who asked for them."""

    def __init__(self, listener, scripts):
        self._listener, self._scripts = listener, scripts
        self._clients = {}
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._waker.fileno())

    def serve(self):
        """Fork for whoever asks, until standard input ends; True in the forks, which are to run their script."""
        while True:
            waiting = [client for client in self._clients.values() if client is not None]
            ready, _, _ = select.select([0, self._listener, self._woken, *waiting], [], [])
            if 0 in ready:
                for process in self._clients:
                    os.kill(process, signal.SIGKILL)
                return False
            self._kill_those_that_nobody_waits_for(ready)
            if self._woken in ready:
                self._woken.recv(REQUEST_BYTES)
                self._tell_who_waits()
            if self._listener in ready and self._fork():
                return True

    def _kill_those_that_nobody_waits_for(self, ready):
        for process, client in list(self._clients.items()):
            if client in ready:
                os.kill(process, signal.SIGKILL)
                client.close()
                self._clients[process] = None

    def _tell_who_waits(self):
        for process, client in list(self._clients.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del self._clients[process]
                if client is not None:
                    tell(client, -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
                    client.close()

    def _fork(self):
        client, _ = self._listener.accept()
        request, descriptors = receive(client)
        process = None
        if fits(request, self._scripts):
            process = os.fork()
            if process == 0:
                client.close()
                self._forget()
                become(request, descriptors)
                return True
        for descriptor in descriptors:
            os.close(descriptor)
        if process is None:
            client.close()
        else:
            self._clients[process] = client
            tell(client, process)
        return False

    def _forget(self):
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for connection in (self._listener, self._woken, self._waker, *filter(None, self._clients.values())):
            connection.close()


def tell(client, number):
    # Who is gone by now is found out by the end of the connection.
    with contextlib.suppress(OSError):
        client.send(str(number).encode())


def main(path, imports, *scripts):
    """Whether this is a fork that is to run its script."""
    sys.path.insert(1, os.getcwd())
    import_all(filter(None, imports.split(",")))
    del sys.path[1]
    gc.freeze()  # Going through it all is most of what a fork would take to end: nearly a second.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    print(len(os.listdir("/proc/self/task")), flush=True)
    if Forks(listener, {os.path.realpath(script) for script in scripts}).serve():
        return True
    shutil.rmtree(os.path.dirname(path))
    return False


def run(path):
    """Carry out a script as `__main__`, of which nothing else is left."""
    with open(path, "rb") as stream:
        code = compile(stream.read(), path, "exec")
    names = vars(sys.modules["__main__"])
    own = {name: value for name, value in names.items() if not name.startswith("__")}
    names.update(__doc__=None, __file__=path)
    for name in own:
        del names[name]
    exec(code, names)


if __name__ == "__main__" and main(*sys.argv[1:]):
    run(sys.argv[0])
