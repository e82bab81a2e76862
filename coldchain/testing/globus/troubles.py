"""What can go wrong with the stand-in."""

from __future__ import annotations

from enum import StrEnum


class Trouble(StrEnum):
    """What goes wrong: with requests (found by method and address), with tasks (by label), or with files (by path)."""

    REQUEST_IS_LOST = "request: the line is cut before anything is done"
    ANSWER_IS_LOST = "request: it is done, and the line is cut before the answer"
    TOO_MANY_REQUESTS = "request: 429, with Retry-After"
    UNAVAILABLE = "request: 503, with Retry-After"
    NO_JSON = "request: 502 with a page for people, as a proxy sends it"
    GATEWAY_IS_OFF = "request: the collection's machine is not connected"
    RENAMES_OVER = "path: a rename takes the place of an empty folder, as a POSIX file system lets it"
    PAUSED = "task: an administrator has paused the collection"
    INACTIVE = "task: credentials have expired"
    FAILS = "task: it fails"
    HANGS = "task: it stays ACTIVE for ever, past its deadline"
    CANCELS_LATE = "task: a cancel is accepted, and it works on for three looks"
    DENIED = "file: this user may not"
    VANISHES = "file: it is gone from the source when its turn comes"
    SKIPS = "file: what cannot be read is skipped, though nobody asked for that"
    QUOTA = "file: there is no room for it"
    CORRUPTS = "file: other bytes arrive"
    TRUNCATES = "file: half of it stands there after all was checked, and the task says SUCCEEDED"
    LEAVES_OUT = "file: nothing of it arrives, or goes, and the task says SUCCEEDED"
