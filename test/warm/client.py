"""Stands in for the interpreter.

Hands the command line, the environment, the directory and the standard streams to the process that listens at a
socket. That forks; this process passes signals on to the fork, and ends as it does. Once this one is gone, for
whatever reason, the fork is killed. Where nobody listens, or the other side declines, this process becomes the
interpreter.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def ask(path, arguments):
    """The connection, and the process number of the fork: 0 where there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        descriptors = array.array("i", [os.dup(number) for number in range(3)])
        umask = os.umask(0)
        os.umask(umask)
        request = {"arguments": arguments, "environment": dict(os.environ), "directory": os.getcwd(), "umask": umask,
                   "ignored": [number for number in PASSED_ON if signal.getsignal(number) == signal.SIG_IGN]}
        connection.connect(path)
        connection.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        for number in descriptors:
            os.close(number)
        return connection, int(connection.recv(100) or 0)
    except OSError:
        return connection, 0


def attend(connection, process):
    """Pass signals on until the process ends; its exit code, negative for a signal."""
    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: os.kill(process, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    status = connection.recv(100)
    if not status:
        os.kill(process, signal.SIGKILL)
        sys.exit("the warm interpreter is gone")
    return int(status)


def main(path, interpreter, *arguments):
    """Carry out a command line of the interpreter."""
    # Until it is known where to, signals wait.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    connection, process = ask(path, arguments)
    if not process:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.execv(interpreter, [interpreter, *arguments])
    code = attend(connection, process)
    if code < 0:
        with contextlib.suppress(OSError):  # Two of them have no other disposition.
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
