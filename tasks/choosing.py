"""Choosing which artifact is current, as a task."""

from __future__ import annotations

from coldchain import choosing
from coldchain.approvers import Person
from coldchain.forms_reprocess import ChooseForm
from tasks.running import say, work
from tasks.workspace import open_workspace


@work
def choose(person: Person, form: ChooseForm) -> str:
    """Write a choice down; raises InputError, Refused, NotInCatalogue."""
    chosen = choosing.choose(open_workspace(), person, form.id, form.level, form.artifact, form.reason)
    say(f"{form.level} of {form.id}: {chosen}")
    return str(chosen)
