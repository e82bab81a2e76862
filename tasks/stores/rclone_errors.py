"""What rclone and the services behind it say, in the product's words: the one border for rclone. No secret passes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from coldchain.errors import ColdchainError, ConfigurationError, InputError, IntegrityError, LocationUnreachable, OutOfSpace, RemovalRefused


class NotThere(IntegrityError):
    """No such file or folder."""


_KEYS = (
    "type provider vendor url host user port endpoint region location_constraint env_auth acl storage_class shell_type account root "
    "drive_id drive_type root_folder_id team_drive scope remote key_file known_hosts_file bucket_policy_only project_number"
)
HARMLESS = frozenset(_KEYS.split())
"""Settings of a remote that a message may repeat; the value of any other is taken out of it."""

SHORTEST = 6
"""Characters of a setting that is looked for in a message: shorter ones (`true`) are words that anybody uses."""

RIGHTS = "look at the rights of the user whom the remote logs in as"
_SAYS: tuple[tuple[str, type[ColdchainError], str, str | None], ...] = (
    (
        r"object not found|directory not found|file does not exist|not a directory|is a directory|is a file|404 Not Found",
        NotThere,
        "nothing stands there",
        None,
    ),
    (r"section in config file", ConfigurationError, "rclone's configuration has no such remote", "`rclone listremotes` shows what it has"),
    (
        r"decrypt|config(uration)? file|invalid character|Failed to load",
        ConfigurationError,
        "rclone's configuration cannot be read",
        "the password of an encrypted one comes from RCLONE_CONFIG_PASS",
    ),
    (
        r"(?i)no space left|remaining disk space|insufficient.?(storage|space)|\b507\b|quota.?(exceeded|limit)|exceeded.*quota",
        OutOfSpace,
        "no space left",
        "make room, then start again",
    ),
    (r"(?i)ratelimit|rate.?limit|too many requests|\b429\b|slow ?down", LocationUnreachable, "a service asks us to be slower", "try later"),
    (
        (
            r"(?i)unable to authenticate|knownhosts|\b401\b|unauthorized|invalid_grant|invalid_client|token expired|couldn't fetch token"
            r"|empty token|InvalidAccessKeyId|SignatureDoesNotMatch|invalid access token|private key|known_hosts_file|key_file"
        ),
        ConfigurationError,
        "a remote does not let us in",
        "`rclone config reconnect REMOTE:` or `rclone lsd REMOTE:` shows what it wants; is the host the one in known_hosts?",
    ),
    (r"(?i)source file is being updated", InputError, "a file changed while it was sent", "wait until it is finished, then start again"),
    (r"(?i)corrupted on transfer|hash(es)? differ|sizes? differ", IntegrityError, "bytes changed on their way", "start again"),
    (
        r"max transfer duration",
        ConfigurationError,
        "a remote does not rename a folder in one step",
        "a location is one drive, from its root down",
    ),
    (r"(?i)permission denied|\b403\b|forbidden|access ?denied|read-only", ConfigurationError, "a remote refuses it", RIGHTS),
)


def translated(words: str, status: int, on: str, secrets: Iterable[str] = (), *, removing: bool = False) -> ColdchainError:
    """The error of ours that rclone's words mean; what is not known may pass, and is tried again."""
    got = clean(words, secrets)
    for pattern, kind, what, hint in _SAYS:
        if re.search(pattern, words) or (status == 404 and kind is NotThere):
            raised = RemovalRefused if removing and hint is RIGHTS else kind
            return raised(what, on=on, got=got, done="what is whole stays where it is", hint=hint)
    return LocationUnreachable(
        "a remote does not do what it is asked for",
        on=on,
        got=got,
        done="what is whole stays where it is",
        hint="is it up, and the network?",
    )


def clean(words: str, secrets: Iterable[str] = ()) -> str:
    """Words of rclone's, in a line, without a password, a token or a signed address."""
    for secret in sorted(secrets, key=len, reverse=True):
        words = words.replace(secret, "…")
    words = re.sub(r"(?i)(://)[^/@\s\"]*@", r"\1…@", words)
    words = re.sub(r"(https?://[^\s\"?]*)\?[^\s\"]*", r"\1?…", words)
    words = re.sub(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", r"\1 …", words)
    words = re.sub(r"(?i)(\w*(?:token|pass|secret|signature|key)\w*(?:=|\"\s*:\s*\"))[^\s\"'&,;]+", r"\1…", words)
    words = re.sub(r"(?i)\b((?:pass(?:w(?:or)?d)?|secret):\s*)\S+", r"\1…", words)
    return " ".join(words.split())[-600:]


def secrets_of(settings: Mapping[str, str]) -> list[str]:
    """Values of a remote's settings that no message may hold, and the parts of those that are made of several."""
    found = [value for key, value in settings.items() if key not in HARMLESS]
    parts = [part for value in found for part in re.findall(r'"([^"]+)"', value)]
    return [each for each in (*found, *parts) if len(each) >= SHORTEST]
