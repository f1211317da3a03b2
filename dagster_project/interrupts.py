"""Ctrl-C that is never lost.

Dagster raises an interrupt from its signal handler inside a step and only notes it elsewhere. Both can lose it: Python
swallows what is raised while a weak reference's callback or a finaliser runs, and Dagster forgets what it noted when
the run ends. So a swallowed interrupt is sent again, and what arrived is looked at between runs.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from types import TracebackType
from typing import Self

from dagster._core.errors import DagsterExecutionInterruptedError

_AGAIN_AFTER_S = 0.05


class Interrupts:
    """While this context is open, every SIGINT of this process either stops a step or is found by ``check``.

    Only the main thread may open it, as with all that touches signals.
    """

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._hook_before = sys.unraisablehook
        sys.unraisablehook = self._send_again
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.unraisablehook = self._hook_before
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    def check(self) -> None:
        """Look at what arrived since the last look.

        Raises
        ------
        KeyboardInterrupt
            A SIGINT was among it.
        """
        try:
            arrived = self._reader.recv(4096)
        except BlockingIOError:
            return
        if signal.SIGINT in arrived:
            raise KeyboardInterrupt

    def _send_again(self, lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt | DagsterExecutionInterruptedError):
            # not from here: what a handler raises inside this hook would be swallowed as well
            threading.Timer(_AGAIN_AFTER_S, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            self._hook_before(lost)
