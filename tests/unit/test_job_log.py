"""A job's log and its end: no value of an element reaches log or terminal."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import threading
import warnings

import pydicom
import pydicom.config
import pytest
from pydicom.dataelem import DataElement

from job_log import LOGGER, SCRIPTS, SafeFormatter, describe, job
from phi_deid_pipeline.errors import PolicyError, UnreadableInstance
from phi_deid_pipeline.records import RejectReason

NAME = "PLANTED^NAME"


def run(tmp_path, capfd, body, expected=1):
    """Run a body that fails; return (log, stderr)."""
    log = tmp_path / "logs" / "step" / "b000001.log"
    with pytest.raises(SystemExit) as ended, job(log) as logger:
        body(logger)
    assert ended.value.code == expected
    assert ended.value.__cause__ is None
    out, err = capfd.readouterr()
    text = log.read_text()
    assert NAME not in text + out + err
    assert out == ""
    return text.splitlines(), err.splitlines()


def test_foreign_error_is_told_by_type_and_place_and_ends_with_one(tmp_path, capfd):
    def body(logger):
        logger.info("12 instances")
        raise ValueError(f"invalid value {NAME}")

    log, err = run(tmp_path, capfd, body)
    assert len(log) == 2
    assert log[0].endswith(" INFO 12 instances")
    assert " ERROR ValueError at " in log[1]
    assert len(err) == 1
    assert " ERROR ValueError at " in err[0]


def test_place_is_the_innermost_frame_of_our_code_and_what_it_called(tmp_path, capfd):
    def body(logger):
        from record_io import from_json

        from_json(7, dict)

    log, _ = run(tmp_path, capfd, body)
    assert " ERROR TypeError at record_io.py:" in log[-1]
    assert " in from_json, calling __init__.loads" in log[-1]
    assert str(SCRIPTS) not in log[-1]


def test_message_of_our_own_errors_is_shown(tmp_path, capfd):
    def body(logger):
        raise PolicyError("Row 12: unknown action Q.")

    log, err = run(tmp_path, capfd, body)
    assert log[-1].endswith(" ERROR PolicyError: Row 12: unknown action Q.")
    assert err[-1].endswith(" ERROR PolicyError: Row 12: unknown action Q.")


def test_reason_of_an_unreadable_instance_is_shown():
    error = UnreadableInstance(RejectReason.TRUNCATED, "00100010")

    assert describe(error) == "UnreadableInstance: truncated: 00100010"


@pytest.mark.parametrize("wrapped", [False, True])
def test_os_error_tells_its_number_and_never_the_path(tmp_path, capfd, wrapped):
    def body(logger):
        try:
            (tmp_path / NAME / "x").open("rb")
        except OSError as error:
            if wrapped:
                raise OSError(errno.ENOSPC, f"{NAME} is full", NAME) from error
            raise

    log, err = run(tmp_path, capfd, body)
    expected = "ENOSPC (No space left on device)" if wrapped else "ENOENT (No such file or directory)"
    assert expected in log[-1]
    assert expected in err[-1]


def test_error_raised_from_another_does_not_show_the_other(tmp_path, capfd):
    def body(logger):
        try:
            raise ValueError(NAME)
        except ValueError as error:
            raise PolicyError("Row 3 is wrong.") from error

    log, _ = run(tmp_path, capfd, body)
    assert log == [log[0]]
    assert log[0].endswith("PolicyError: Row 3 is wrong.")


def test_interrupt_ends_with_130(tmp_path, capfd):
    def body(logger):
        raise KeyboardInterrupt

    log, _ = run(tmp_path, capfd, body, expected=130)
    assert " ERROR KeyboardInterrupt at " in log[-1]


def test_exit_of_the_body_keeps_its_code(tmp_path):
    with pytest.raises(SystemExit) as ended, job(tmp_path / "x.log"):
        raise SystemExit(3)
    assert ended.value.code == 3


@pytest.mark.parametrize(
    "log_it",
    [
        lambda logger, error: logger.error("failed: %s", error),
        lambda logger, error: logger.error(error),
        lambda logger, error: logger.error("failed: %(e)s", {"e": error}),
        lambda logger, error: logger.exception("failed"),
        lambda logger, error: logger.warning("failed", exc_info=error, stack_info=True),
    ],
)
def test_error_that_a_step_logs_itself_is_told_by_type(tmp_path, capfd, log_it):
    with job(tmp_path / "x.log") as logger:
        try:
            raise ValueError(NAME)
        except ValueError as error:
            log_it(logger, error)

    out, err = capfd.readouterr()
    text = (tmp_path / "x.log").read_text()
    assert "ValueError at " in text
    assert text.count("\n") == 1
    assert NAME not in text + out + err


def test_value_that_pydicom_chokes_on_is_not_shown(tmp_path, capfd):
    def body(logger):
        DataElement(0x00101030, "DS", NAME, validation_mode=pydicom.config.WARN)

    log, _ = run(tmp_path, capfd, body)
    assert " ERROR ValueError at " in log[-1]


def test_warnings_and_loggers_of_pydicom_stay_silent(tmp_path, capfd):
    before = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.WARN
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            DataElement(0x00080018, "UI", NAME, validation_mode=pydicom.config.WARN)
        assert NAME in str(seen[0].message), "the warning that must not get out has to exist"
        with job(tmp_path / "x.log"):
            DataElement(0x00080018, "UI", NAME, validation_mode=pydicom.config.WARN)
            logging.getLogger("pydicom").warning(NAME)
            logging.getLogger("pydicom.valuerep").error(NAME)
            logging.getLogger("something.else").error(NAME)
            logging.error(NAME)
            warnings.warn(NAME, stacklevel=1)
    finally:
        pydicom.config.settings.reading_validation_mode = before

    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert (tmp_path / "x.log").read_text() == ""


def test_prints_of_python_of_c_libraries_and_of_children_go_nowhere(tmp_path, capfd):
    with job(tmp_path / "x.log"):
        print(NAME)
        print(NAME, file=sys.stderr)
        os.write(1, NAME.encode())
        os.write(2, NAME.encode())
        subprocess.run([sys.executable, "-c", f"import sys; print('{NAME}'); sys.exit('{NAME}')"], check=False)

    assert capfd.readouterr() == ("", "")
    print("after")
    os.write(2, b"after too")
    assert capfd.readouterr() == ("after\n", "after too")


def test_error_in_a_thread_shows_nothing(tmp_path, capfd):
    def fail():
        raise ValueError(NAME)

    hook, threading.excepthook = threading.excepthook, threading.__excepthook__
    try:
        with job(tmp_path / "x.log"):
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
    finally:
        threading.excepthook = hook
    assert capfd.readouterr() == ("", "")


def test_state_of_logging_is_as_before(tmp_path):
    root, last_resort = list(logging.getLogger().handlers), logging.lastResort
    with job(tmp_path / "x.log"):
        assert logging.lastResort is None

    assert logging.getLogger().handlers == root
    assert logging.lastResort is last_resort
    assert logging.getLogger("pydicom").disabled is False
    assert logging.getLogger(LOGGER).handlers == []


def test_second_job_starts_a_new_log(tmp_path):
    for text in ("first", "second"):
        with job(tmp_path / "x.log") as logger:
            logger.info(text)

    assert (tmp_path / "x.log").read_text().endswith(" INFO second\n")
    assert "first" not in (tmp_path / "x.log").read_text()


def test_error_in_memory_only_streams_is_printed_there(tmp_path, capsys):
    with pytest.raises(SystemExit), job(tmp_path / "x.log"):
        raise ValueError(NAME)

    out, err = capsys.readouterr()
    assert "ERROR ValueError at" in err
    assert NAME not in out + err


def test_job_without_a_log_still_ends_in_one_line(capfd):
    with pytest.raises(SystemExit), job(None):
        raise ValueError(NAME)

    assert len(capfd.readouterr().err.splitlines()) == 1


def test_line_breaks_do_not_make_lines(tmp_path):
    record = logging.makeLogRecord({"levelname": "INFO", "msg": "a\nb\r\nc"})

    assert SafeFormatter().format(record).endswith(" INFO a b c")
