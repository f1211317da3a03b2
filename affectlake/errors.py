"""The one family of errors that a user of affectlake is expected to meet and act on.

Every error says what is wrong, where (file, row, id, table, column) and what to do about it. Anything else that
escapes is a bug of ours.
"""

from __future__ import annotations


class AffectlakeError(Exception):
    """Something that the user can mend.

    Parameters
    ----------
    what : str
        The fact, in one sentence without a full stop.
    where : str, optional
        File and row, table and column, or id.
    remedy : str, optional
        What to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.remedy}" if self.remedy else text


class StudyError(AffectlakeError):
    """The study file is wrong or asks for something that cannot be built."""


class InputError(AffectlakeError):
    """A file of the user's data is missing, unreadable or contradicts another one."""


class ContractError(AffectlakeError):
    """A frame does not keep its table's contract; nothing was written."""


class LakeError(AffectlakeError):
    """The lake refuses: another study's lake, an unknown table, a lost race for a commit."""


class AgentError(AffectlakeError):
    """An agent cannot judge: wrong settings, missing model, nothing that it could perceive."""


class BudgetError(AgentError):
    """An agent's cap on costs is reached; what was answered is kept."""


class DeviceError(AffectlakeError):
    """The device that was asked for is not there."""
