"""`coldchain solutions`."""

from __future__ import annotations

import typer

from deployments.cli_common import JsonOption, SiteOption, printed, said


def add(app: typer.Typer) -> None:
    """Give the command its subcommand `solutions`."""
    app.command()(solutions)


def solutions(site: SiteOption = None, as_json: JsonOption = False) -> None:
    """The storage table: what each kind of place is good for, how long it lasts, what it takes and costs; the site's own rows included."""
    from coldchain.settings import Settings
    from coldchain.site import Site
    from coldchain.solutions import built_in
    from deployments import tables

    with said(as_json):
        path = site or Settings().site
        own = Site.load(path).solutions if path.exists() else {}
        rows = {**built_in(), **own}
        printed({name: row.model_dump(mode="json") for name, row in rows.items()}, as_json, lambda: tables.solutions(rows))
