"""Starts a server again, with its data, whenever it is killed with SIGKILL: for tests that kill servers.

Run as a script of its own, with the standard library only: PID_FILE STOP_SIGNAL UID GID PROGRAM ARGUMENT...; "-" for an
account that need not change. SIGTERM to this ends the server by its STOP_SIGNAL. Any other end of the server is the end
of this, with the server's exit code.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_PAUSE_SECONDS = 0.2
_REFUSED_SECONDS = 120.0
"""How long a server may refuse to start because its killed life still holds memory or the port."""


def main(pid_file: Path, stop_signal: int, account: dict[str, object], command: list[str]) -> int:
    """The exit code of the server's last life."""
    killed_at: float | None = None
    stopping = False
    while True:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd="/", **account)  # type: ignore[call-overload]
        pid_file.write_text(str(child.pid))

        def stop(_number: int, _frame: FrameType | None, process: "subprocess.Popen[bytes]" = child) -> None:
            nonlocal stopping
            stopping = True
            process.send_signal(stop_signal)

        signal.signal(signal.SIGTERM, stop)
        code = int(child.wait())
        if stopping:
            return code if code >= 0 else 128 - code
        if code == -signal.SIGKILL:
            killed_at = time.monotonic()
        elif code == 0 or killed_at is None or time.monotonic() - killed_at > _REFUSED_SECONDS:
            return code if code >= 0 else 128 - code
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    where, ending, uid, gid, *program = sys.argv[1:]
    rights: dict[str, object] = {} if uid == "-" else {"user": int(uid), "group": int(gid), "extra_groups": []}
    sys.exit(main(Path(where), int(ending), rights, program))
