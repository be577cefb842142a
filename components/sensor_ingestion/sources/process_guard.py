"""Runs a program in a process group of its own, and ends the whole group when its owner ends, however that happens.

    python -I -S process_guard.py PROGRAM ARGUMENT...

The owner holds the other end of the pipe on standard input; the kernel closes it even if the owner is killed. Then, and when the
program ends, the rest of the group gets SIGTERM, and SIGKILL when the program has ended or after `PATIENCE_S`. It imports the standard
library only, so that it is small.
"""

import os
import select
import signal
import sys
import time

PATIENCE_S = 1.5
NOT_STARTED = 127


def main(command: "list[str]") -> int:
    """Run the program; returns its exit code as a shell does, or `NOT_STARTED`."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a nucleus may send it to all processes, and this one ends last
    try:
        program = os.posix_spawnp(
            command[0],
            command,
            os.environ,
            setpgroup=0,
            setsigdef=[signal.SIGTERM, signal.SIGCHLD],
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        )
    except OSError as fault:
        sys.stderr.write(f"{command[0]} cannot be started: {fault.strerror}\n")
        return NOT_STARTED
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while not _ended(program) and 0 not in dict(poll.poll()):
        os.read(woken, 512)
    os.killpg(program, signal.SIGTERM)
    until = time.monotonic() + PATIENCE_S
    while not _ended(program) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _ended(program: int) -> bool:
    """Whether the program has ended; it stays a zombie, so that no other process gets the group's number."""
    return os.waitid(os.P_PID, program, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
