"""Holds a server on a leash: when the process that started it is gone, however it went, so is the server.

Run as a script of its own, with the standard library only. Standard input is a pipe whose other end the
starting process holds and never writes to. The kernel closes it when that process ends, kill -9 included.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from types import FrameType

# What a server gets to stop by itself before it is killed.
GRACE_SECONDS = 8.0


class Leash:
    """Runs commands one after another until one fails or the pipe closes."""

    def __init__(self, *, account: dict[str, object], stop_signal: int) -> None:
        self._account = account
        self._stop_signal = stop_signal
        self._let_go = False
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, command: list[str]) -> int:
        """The exit code of the command; without running it 1, when the leash has been let go already."""
        with self._lock:
            if self._let_go:
                return 1
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", **self._account)  # type: ignore[call-overload]
        return int(self._child.wait())

    def stop(self) -> None:
        """Ends the running command, gently first, and lets no other start."""
        with self._lock:
            self._let_go = True
            child = self._child
        if child is None:
            return
        child.send_signal(self._stop_signal)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()

    def watch(self) -> None:
        """Stops everything at the end of standard input."""
        try:
            while os.read(0, 1024):
                pass
        finally:
            self.stop()


def main(specification: str) -> int:
    """Run the commands of the specification (JSON), then remove its directory. Returns the last exit code."""
    what = json.loads(specification)
    account = {}
    if what["uid"] is not None:
        account = {"user": what["uid"], "group": what["gid"], "extra_groups": []}
    leash = Leash(account=account, stop_signal=what["stop_signal"])

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        # In a thread, because the main thread may hold the lock that stop() takes.
        threading.Thread(target=leash.stop, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    threading.Thread(target=leash.watch, daemon=True).start()
    code = 0
    try:
        for command in what["commands"]:
            code = leash.run(command)
            if code:
                break
    finally:
        shutil.rmtree(what["directory"], ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
