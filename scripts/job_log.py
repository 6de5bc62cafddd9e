"""A job's log and its end: what went wrong is told by kind and place in the code, never by an element's value.

Exceptions and warnings of libraries quote what they choke on (values, file names). So a job shows them as type and
place, keeps the libraries' loggers and warnings silent, and closes its standard streams to everybody but its own lines.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

import job_packages  # noqa: F401  before any package is loaded
from phi_deid_pipeline.errors import DeidError

LOGGER = "phi_deid"
SCRIPTS = Path(__file__).resolve().parent
FAILED = 1
INTERRUPTED = 130
_NOISY = ("pydicom", "py.warnings", "highdicom", "PIL", "onnxruntime", "pytesseract", "rapidocr", "RapidOCR")


def describe(error: BaseException) -> str:
    """Return what may be told of an error: a DeidError's message, else type, errno of an OSError, place in our code."""
    if isinstance(error, DeidError):
        return f"{type(error).__name__}: {error}"
    text = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        text += f" {errno.errorcode.get(error.errno, error.errno)} ({os.strerror(error.errno)})"
    return f"{text} at {_place(error)}"


def _place(error: BaseException) -> str:
    """Return module, line and function of the innermost frame that is ours, and what foreign function it called."""
    ours, below = "unknown place", ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename).resolve()
        if path.is_relative_to(SCRIPTS):
            ours, below = f"{path.relative_to(SCRIPTS)}:{frame.lineno} in {frame.name}", ""
        elif not below:
            below = f", calling {path.stem}.{frame.name}"
    return ours + below


class SafeFormatter(logging.Formatter):
    """Formats times in UTC and shows exceptions, also those handed in as arguments, by `describe` alone."""

    converter = time.gmtime

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; line breaks in a message are shown as blanks."""
        safe = logging.makeLogRecord(record.__dict__)
        safe.msg, safe.args = _safe(record.msg), _safe_arguments(record.args)
        error = record.exc_info[1] if record.exc_info else None
        safe.exc_info = safe.exc_text = safe.stack_info = None
        line = super().format(safe)
        return " ".join(f"{line}: {describe(error)}".splitlines() if error else line.splitlines())


def _safe(value: object) -> object:
    return describe(value) if isinstance(value, BaseException) else value


def _safe_arguments(arguments: object) -> object:
    if isinstance(arguments, dict):
        return {name: _safe(value) for name, value in arguments.items()}
    return tuple(map(_safe, arguments)) if isinstance(arguments, tuple) else arguments


@contextmanager
def silence() -> Iterator[None]:
    """Keep loggers and warnings of libraries silent, for they quote values: in a job, and in its worker processes."""
    loggers = [logging.getLogger(), *map(logging.getLogger, _NOISY)]
    before = [(logger, logger.handlers, logger.propagate, logger.disabled, logger.level) for logger in loggers]
    last_resort = logging.lastResort
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            logging.lastResort = None
            for logger in loggers:
                logger.handlers, logger.propagate = [logging.NullHandler()], False
                logger.disabled = logger.name != "root"
            yield
        finally:
            logging.lastResort = last_resort
            for logger, handlers, propagate, disabled, level in before:
                logger.handlers, logger.propagate, logger.disabled = handlers, propagate, disabled
                logger.setLevel(level)


@contextmanager
def closed_streams() -> Iterator[TextIO]:
    """Send what anybody writes to standard output and error, C libraries and children too, to nowhere.

    Yields the standard error that was there before.
    """
    own = sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        saved = []
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number in (1, 2):
            try:
                saved.append((number, os.dup(number)))
                os.dup2(nowhere.fileno(), number)
            except OSError as error:
                if error.errno != errno.EBADF:  # a stream that was closed before needs no closing
                    raise
        private = os.fdopen(os.dup(dict(saved)[2]), "w", encoding="utf-8") if _is_stream_two(own, saved) else None
        try:
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield private or own
        finally:
            if private is not None:
                private.close()
            for number, copy in saved:
                os.dup2(copy, number)
                os.close(copy)


def _is_stream_two(stream: TextIO, saved: list[tuple[int, int]]) -> bool:
    try:
        return stream.fileno() == 2 and 2 in dict(saved)
    except (OSError, ValueError, AttributeError):  # a stream in memory has no number
        return False


@contextmanager
def job(log_path: Path | str | None) -> Iterator[logging.Logger]:
    """Run the body of an entry with a log; an error goes to the log and, as one line, to standard error.

    Ends with SystemExit(1) instead of the error, so that no traceback shows values (130 where it was interrupted).
    """
    logger = logging.getLogger(LOGGER)
    handler: logging.Handler = logging.NullHandler()
    if log_path is not None:
        Path(log_path).parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(log_path, mode="w", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(SafeFormatter())
    before = logger.handlers, logger.propagate, logger.level
    failed = None
    with silence(), closed_streams() as stderr:
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
        try:
            yield logger
        except (SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 whatever it is, its message must not be shown
            failed = INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILED
            logger.error("%s", error)
            print(SafeFormatter().format(_record(error)), file=stderr, flush=True)
        finally:
            logger.handlers, logger.propagate = before[0], before[1]
            logger.setLevel(before[2])
            handler.close()
    if failed is not None:
        raise SystemExit(failed)


def _record(error: BaseException) -> logging.LogRecord:
    return logging.makeLogRecord({"levelno": logging.ERROR, "levelname": "ERROR", "msg": "%s", "args": (error,)})
