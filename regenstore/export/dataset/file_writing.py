"""Write many files in the background, while the caller prepares the next ones.

Separate processes create and fill the files, because with thousands of small files most of the time is spent in the
system. Each reads jobs from its standard input and answers once: when told that there are no more, or as soon as one
fails. It ends when its input ends, or when its parent is gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import IO

from regenstore.errors import FormatError, StorageError
from regenstore.fs import durable, interpreter
from regenstore.fs.reflink import Linker
from regenstore.fs.writing import write_all

_MODULE = "regenstore.export.dataset.file_writing"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
ALONE = 100
"""Number of files that are written without such processes, which take a moment to start."""
_PROCESSES = 2
_ERRORS = {made.__name__: made for made in (StorageError, FormatError)}
Job = tuple[str, str, bytes, int]
"""Path of the new file; the file that it is a copy of, or an empty string; else its bytes; and its size."""


class FileWriter:
    """Writes files into existing folders. They are complete once :meth:`settle` returns.

    Errors are raised by any later call, or by :meth:`settle`: StorageError, or FormatError (``bad-dataset``) for a
    source of unexpected size. The writer can be used again afterwards.
    """

    def __init__(self, linker: Linker, alone: int = ALONE) -> None:
        self._linker = linker
        self._left = alone
        self._processes: list[subprocess.Popen[bytes]] = []

    def write(self, path: str, data: bytes) -> None:
        self._do((path, "", data, len(data)))

    def copy(self, path: str, source: str, size: int) -> None:
        self._do((path, source, b"", size))

    def _do(self, job: Job) -> None:
        self._left -= 1
        if self._left >= 0:
            perform(job, self._linker)
            return
        if not self._processes:
            self._processes = [self._start() for _ in range(_PROCESSES)]
        process = self._processes[self._left % _PROCESSES]
        if not _send(process, job):
            self._processes.remove(process)
            self.stop()
            _answer(process)

    def _start(self) -> subprocess.Popen[bytes]:
        command = interpreter.command(_MODULE, *["--reflink"] * self._linker.reflinks)
        with durable.storage_errors(sys.executable):
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def settle(self) -> None:
        """Wait until everything is written."""
        for process in self._processes:
            _send(process, None)
        while self._processes:
            process = self._processes.pop()
            try:
                _answer(process)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop writing; files that were begun may be incomplete."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            _close(process)
            process.wait()


def _send(process: subprocess.Popen[bytes], job: Job | None) -> bool:
    """Send a process a job, or the end of jobs; False if it accepts none because it has failed."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(None if job is None else [*job[:2], job[3], len(job[2])]).encode() + b"\n")
        if job is None:
            process.stdin.flush()
        else:
            process.stdin.write(job[2])
    except BrokenPipeError:
        return False
    return True


def _answer(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process to end; raises the error that it reports."""
    assert process.stdout is not None
    answer = process.stdout.read()
    _close(process)
    if process.wait() or not answer:
        raise StorageError("io-error", "a process that writes files of the dataset ended unexpectedly")
    told = json.loads(answer)
    if told is not None:
        name, kind, message = told
        raise _ERRORS[name](kind, message)


def _close(process: subprocess.Popen[bytes]) -> None:
    for end in (process.stdin, process.stdout):
        try:
            if end is not None:
                end.close()
        except BrokenPipeError:
            pass  # what is not written yet is no longer wanted


def perform(job: Job, linker: Linker) -> None:
    """Do a job. Raises StorageError and FormatError."""
    path, source, data, size = job
    with durable.storage_errors(path):
        file = os.open(path, _NEW_FILE, 0o666)
        try:
            if source:
                _copy(source, file, size, linker)
            write_all(file, data)
        finally:
            os.close(file)


def _copy(source: str, file: int, size: int, linker: Linker) -> None:
    given = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        linker.fill(given, file)
        if os.fstat(file).st_size != size:
            raise FormatError("bad-dataset", f"{source} does not have the recorded size: run 'regenstore fsck'")
    finally:
        os.close(given)


def serve(jobs: IO[bytes], linker: Linker) -> tuple[str, str, str] | None:
    """Do jobs until there are no more, or one fails; returns the class and arguments of its error. Raises EOFError
    when the parent no longer needs the files."""
    parent = os.getppid()
    while True:
        line = jobs.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        order = json.loads(line)
        if order is None:
            return None
        path, source, size, length = order
        data = jobs.read(length)
        if len(data) != length or os.getppid() != parent:
            raise EOFError  # files left in the pipe could interfere with the next export
        try:
            perform((path, source, data, size), linker)
        except (StorageError, FormatError) as error:
            return type(error).__name__, error.kind, error.message


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    try:
        answer = serve(sys.stdin.buffer, Linker(reflink="--reflink" in sys.argv))
    except EOFError:
        return
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
