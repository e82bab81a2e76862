"""Telling people that something did not happen, or failed: in the Prefect UI, in the log, and through the site's notification blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from coldchain.errors import ColdchainError, ConfigurationError
from coldchain.forms import Form
from tasks.running import say, work
from tasks.sweeping import literal, plain

if TYPE_CHECKING:
    from prefect.blocks.abstract import NotificationBlock


class TellForm(Form):
    """What people have to know."""

    what: str = Field(min_length=1, title="What", description="What happened, or did not, in a few words")
    about: str = Field("", title="About", description="Which run it is about, and how that ended")
    hint: str = Field("", title="Try", description="What to do about it")


class Channels(BaseSettings):
    """Through which blocks people are told, besides the Prefect UI (``COLDCHAIN_TELL``)."""

    model_config = SettingsConfigDict(env_prefix="COLDCHAIN_")

    tell: str = Field("", description="slugs of notification blocks, with commas between them, e.g. slack-webhook/lab, email/ada")

    @property
    def slugs(self) -> list[str]:
        """Each block once, in the order in which they stand."""
        return list(dict.fromkeys(slug for part in self.tell.split(",") if (slug := part.strip())))


@work
def show(form: TellForm) -> None:
    """Leave an artifact, and an error line in the run's log."""
    get_run_logger().error("%s", plain(f"{form.what}. {form.about} {form.hint}"))
    create_markdown_artifact(as_markdown(form), key="attention", description=plain(form.what))


@work
def send(form: TellForm) -> str:
    """Tell through every block of the site, one after another; says through how many.

    Raises:
        ConfigurationError: not through all of them; it was told through the others.
    """
    failed = {slug: why for slug in Channels().slugs if (why := _attempt(slug, form))}
    if failed:
        raise ConfigurationError(
            "people could not be told through a block",
            on=", ".join(failed),
            got="; ".join(failed.values()),
            done="it stands in the artifact `attention`, and went through the others",
            hint="mend the block in the Prefect UI, or COLDCHAIN_TELL of the worker",
        )
    return f"told through {len(Channels().slugs)} blocks"


def _attempt(slug: str, form: TellForm) -> str:
    """Tell through one block; gives what hindered it, without the words of others' errors, which may hold the block's secrets."""
    try:
        block = load(slug)
        with block.raise_on_failure():
            block.notify(as_text(form), subject=f"Coldchain: {plain(form.what)}")
    except ColdchainError as error:
        return f"{slug}: {error.what}"
    except Exception as error:  # noqa: BLE001 - each service has errors of its own; whichever it is, the others have to be told
        return f"{slug}: {type(error).__name__}"
    say(f"told through {slug}")
    return ""


def load(slug: str) -> NotificationBlock:
    """Load a notification block. Raises ConfigurationError where a block is of another kind, ValueError where there is none."""
    import prefect.blocks.notifications  # noqa: F401 - Prefect finds a block's class only where its module was imported
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block

    block = Block.load(slug)
    if not isinstance(block, NotificationBlock):
        raise ConfigurationError(
            "this block cannot tell anybody anything", on=slug, expected="a notification block", got=type(block).__name__
        )
    return block


def as_text(form: TellForm) -> str:
    """What people are told, as plain lines."""
    return "\n".join(plain(each) for each in (form.what, form.about, form.hint) if each)


def as_markdown(form: TellForm) -> str:
    """What people are told, as a page."""
    parts = [f"# {literal(form.what)}", literal(form.about), f"What to do: {literal(form.hint)}" if form.hint else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
