"""Settings that come from the environment (``COLDCHAIN_*``)."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where this installation's site is described."""

    model_config = SettingsConfigDict(env_prefix="COLDCHAIN_")

    site: Path = Path("demo-site/site.yaml")
