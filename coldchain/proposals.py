"""Proposals: removals that people were told of, and what they answered. Silence is no."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from coldchain.policy import Ground


class Answer(StrEnum):
    """What a person said to a proposal."""

    NONE = "none"
    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One copy that is to go, told in a notice: on what ground, under which policy, and what was answered."""

    id: int
    notice: int
    copy: int
    ground: Ground
    policy: str
    told_at: dt.datetime
    answer: Answer = Answer.NONE
    who: str = ""
    answered_at: dt.datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What people were told at once: a number, a moment, and how many copies and bytes are to go."""

    id: int
    told_at: dt.datetime
    policy: str
    copies: int
    bytes: int
    open: int
