"""The errors of the pipeline: each message says what to do next and never holds an element's value."""

from __future__ import annotations

from phi_deid_pipeline.records import RejectReason


class DeidError(Exception):
    """Base of all errors that end a job with a message for the user."""


class ConfigError(DeidError):
    """A configuration, a folder or a table handed in by the user cannot be used."""


class PolicyError(DeidError):
    """A policy or a rules file is invalid; the message names the row."""


class UidMapError(DeidError):
    """Two source UIDs got one new UID, or a UID that must be mapped is not."""


class SaltMismatchError(DeidError):
    """The salt is not the one that this output was made with."""


class AuditContractError(DeidError):
    """An audit does not fulfil its schema, its chain or its seal."""


class UnreadableInstance(DeidError):
    """An instance that must be rejected; callers turn it into a `Rejected` record."""

    def __init__(self, reason: RejectReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}{': ' if detail else ''}{detail}")
        self.reason = reason
        self.detail = detail
