"""Levels: how far data has been processed, and what each is made from."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class Level(StrEnum):
    """How far data has been processed, in the order of a dataset's life."""

    RAW = "raw"
    STANDARD = "standard"
    CORRECTED = "corrected"
    MASKS = "masks"
    SINGLE_CELL_IMAGES = "single_cell_images"
    SINGLE_CELL_PROFILES = "single_cell_profiles"
    BULK_PROFILES = "bulk_profiles"
    RELEASE = "release"


MADE_FROM = MappingProxyType(
    {
        Level.RAW: (),
        Level.STANDARD: (Level.RAW,),
        Level.CORRECTED: (Level.STANDARD,),
        Level.MASKS: (Level.CORRECTED,),
        Level.SINGLE_CELL_IMAGES: (Level.CORRECTED, Level.MASKS),
        Level.SINGLE_CELL_PROFILES: (Level.CORRECTED, Level.MASKS),
        Level.BULK_PROFILES: (Level.SINGLE_CELL_PROFILES,),
        Level.RELEASE: (Level.SINGLE_CELL_PROFILES, Level.BULK_PROFILES),
    }
)
"""The levels that each level is made from."""

IRREPLACEABLE = frozenset({Level.RAW, Level.RELEASE})
"""Levels that never count as made again: raw comes from an instrument, a release has been promised to others."""
