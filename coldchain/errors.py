"""Every error that Coldchain raises on purpose.

::

    ColdchainError
    ├── PermanentError              trying again changes nothing: a person has to act
    │   ├── ConfigurationError      site, policy or form: names file, line and field
    │   ├── InputError              what an instrument or a person handed in
    │   │   ├── UnsafePathError     a name that would leave its folder, or that cannot be written down
    │   │   ├── LayoutError         plate layout: mixed names, duplicates, missing fields
    │   │   └── ImageError          truncated, corrupt or absurd image
    │   ├── IntegrityError          bytes are not the bytes of the manifest
    │   ├── ProtectionError         a location does not refuse what it must refuse
    │   ├── Refused                 a rule says no
    │   │   ├── EgressRefused       these data may not go there (origin, agreement, embargo)
    │   │   ├── RemovalRefused      what the policy asks for would not stand without it
    │   │   ├── SizeRefused         a place does not take so much, or so large a file
    │   │   └── GateFailed          validation did not pass: nothing is promoted
    │   ├── NotInCatalogue          no such project, dataset, artifact or copy
    │   ├── ModelError              unknown model, or its weights are not the registered ones
    │   └── JobRefused              the scheduler refused a job, in its own words
    └── TransientError              the same call may succeed later: tasks retry these, and only these
        ├── LocationUnreachable     not mounted, other medium in its place, no answer
        ├── NotNow                  a location takes data at other hours
        ├── NotReadableYet          in the archive: it has to be recalled, and the recall takes hours
        ├── OutOfSpace              disk full or quota reached; what was written stays in staging
        ├── Incomplete              of several things some could not be done; each is named with its reason
        ├── LeaseTaken              someone else is using, making or removing this now
        └── ComputeFailed           workers lost, never started, or out of time

A message says what failed, on which object, expected and got, what was already done about it, and what to try.
"""

from __future__ import annotations


class ColdchainError(Exception):
    """An error with the five things a reader needs, each optional but the first."""

    def __init__(
        self,
        what: str,
        *,
        on: object = None,
        expected: object = None,
        got: object = None,
        done: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.on, self.expected, self.got, self.done, self.hint = what, on, expected, got, done, hint
        super().__init__(self.message())

    def message(self) -> str:
        """Write the parts as lines of text."""
        parts = {
            "on": self.on,
            "expected": self.expected,
            "got": self.got,
            "done": self.done,
            "try": self.hint,
        }
        said = [self.what, *(f"  {name}: {value}" for name, value in parts.items() if value is not None)]
        return "\n".join(said)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes (dask, Prefect) with every part kept."""
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[ColdchainError], parts: dict[str, object]) -> ColdchainError:
    error = kind.__new__(kind)
    error.__dict__.update(parts)
    Exception.__init__(error, error.message())
    return error


class PermanentError(ColdchainError):
    """Trying again changes nothing: a person has to act."""


class TransientError(ColdchainError):
    """The same call may succeed later."""


class ConfigurationError(PermanentError):
    """A site, policy or form is wrong; the message names file, line and field."""


class InputError(PermanentError):
    """What an instrument or a person handed in cannot be used."""


class UnsafePathError(InputError):
    """A name that would leave its folder, or that cannot be written down."""


class LayoutError(InputError):
    """A plate's files do not make a plate: mixed names, duplicates, missing fields."""


class ImageError(InputError):
    """A truncated, corrupt or absurd image."""


class IntegrityError(PermanentError):
    """Bytes are not the bytes of the manifest."""


class ProtectionError(PermanentError):
    """A location does not refuse what it must refuse."""


class Refused(PermanentError):
    """A rule says no."""


class EgressRefused(Refused):
    """These data may not go there (origin, agreement, embargo)."""


class RemovalRefused(Refused):
    """What the policy asks for would not stand without this copy."""


class SizeRefused(Refused):
    """A place does not take so much, or so large a file."""


class GateFailed(Refused):
    """Validation did not pass: nothing is promoted."""


class NotInCatalogue(PermanentError):
    """No such project, dataset, artifact or copy."""


class ModelError(PermanentError):
    """An unknown model, or weights that are not the registered ones."""


class JobRefused(PermanentError):
    """The scheduler refused a job, in its own words."""


class LocationUnreachable(TransientError):
    """Not mounted, another medium in its place, or no answer."""


class NotNow(TransientError):
    """A location takes data at other hours."""


class NotReadableYet(TransientError):
    """In the archive: it has to be recalled, and the recall takes hours."""


class OutOfSpace(TransientError):
    """Disk full or quota reached; what was written stays in staging."""


class Incomplete(TransientError):
    """Of several things some could not be done; the next run does the rest."""


class LeaseTaken(TransientError):
    """Someone else is using, making or removing this now."""


class ComputeFailed(TransientError):
    """Workers were lost, never started, or ran out of time."""
