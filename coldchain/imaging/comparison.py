"""Old against new: which objects two segmentations have in common, and what became of the others.

Objects are matched by their intersection over union, as in Caicedo et al., "Nucleus segmentation across imaging experiments: the 2018
Data Science Bowl", Nat. Methods 16 (2019) 1247-1253. Everything costs by the pixels and by the objects that touch, never by all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import ImageError, LayoutError
from coldchain.imaging.measure import LABELS
from coldchain.imaging.platezarr import PLATE, iter_fields, plate_info, read_labels

if TYPE_CHECKING:
    from coldchain.files import Progress

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MATCHED = 0.5  # intersection over union above which two objects are one; above a half an object has one partner at most
WITHIN = 0.5  # share of an object above which it lies in another one
PART = 0.2  # share of an object that a part of it has at least, where it is split


class Fate(StrEnum):
    """What became of an object: old ones are matched, split, merged or lost; new ones matched, split, merged or new."""

    MATCHED = "matched"
    SPLIT = "split"
    MERGED = "merged"
    LOST = "lost"
    NEW = "new"


@dataclass(frozen=True)
class Matches:
    """Two segmentations of one image: what became of each object, and the pairs that are one object.

    ``old_label`` and ``new_label`` hold the labels, ascending; ``old_fate`` and ``new_fate`` a Fate each; ``pairs`` (n, 2) positions of
    matched objects in them; ``iou`` (n,) their intersection over union; ``old_area`` and ``new_area`` pixels of every object.
    """

    old_label: Integers
    new_label: Integers
    old_area: Integers
    new_area: Integers
    old_fate: NDArray[Any]
    new_fate: NDArray[Any]
    pairs: Integers
    iou: Floats

    def count(self, fate: Fate, *, new: bool = False) -> int:
        """Return how many old objects, or new ones, have a fate."""
        return int(np.count_nonzero((self.new_fate if new else self.old_fate) == fate))

    @property
    def area_ratio(self) -> Floats:
        """Return the area of each matched object over what it was."""
        return np.asarray(self.new_area[self.pairs[:, 1]] / self.old_area[self.pairs[:, 0]], np.float64)


def match(old: NDArray[Any], new: NDArray[Any]) -> Matches:
    """Match the objects of two label images of one shape, of any number of axes; 0 is background.

    An old object is matched where a new one has an IoU above 0.5 with it; split where two new ones or more lie in it (more than half of
    each), each at least a fifth of it; merged where it is such a part of a new one; else lost. New ones likewise: split is a part of a
    split one, merged holds several old ones, new is what is none of these. Raises ImageError where the shapes differ.
    """
    if old.shape != new.shape:
        raise ImageError("Two label images of one image have one size", expected=old.shape, got=new.shape)
    old_label, old_area = _objects(old)
    new_label, new_area = _objects(new)
    one, two, shared = _touching(old, new, old_label, new_label)
    iou = shared / np.maximum(old_area[one] + new_area[two] - shared, 1)
    split, part = _several(one, two, shared / new_area[two], shared / old_area[one], len(old_label), len(new_label))
    merger, swallowed = _several(two, one, shared / old_area[one], shared / new_area[two], len(new_label), len(old_label))
    paired = (iou > MATCHED) & ~split[one] & ~swallowed[one] & ~part[two] & ~merger[two]
    old_fate = _fates(len(old_label), Fate.LOST, (one[paired], Fate.MATCHED), (swallowed, Fate.MERGED), (split, Fate.SPLIT))
    new_fate = _fates(len(new_label), Fate.NEW, (two[paired], Fate.MATCHED), (part, Fate.SPLIT), (merger, Fate.MERGED))
    pairs = np.stack([one[paired], two[paired]], axis=1)
    return Matches(old_label, new_label, old_area, new_area, old_fate, new_fate, pairs, np.asarray(iou[paired], np.float64))


def _objects(labels: NDArray[Any]) -> tuple[Integers, Integers]:
    """Return the labels that there are, ascending, and the pixels of each."""
    found, counts = np.unique(labels[labels > 0], return_counts=True)
    return found.astype(np.int64), counts.astype(np.int64)


def _touching(old: NDArray[Any], new: NDArray[Any], old_label: Integers, new_label: Integers) -> tuple[Integers, Integers, Integers]:
    """Return the pairs of objects that share pixels, as positions among the labels, and how many they share."""
    both = (old > 0) & (new > 0)
    one, two = np.searchsorted(old_label, old[both]), np.searchsorted(new_label, new[both])
    codes, shared = np.unique(one * max(len(new_label), 1) + two, return_counts=True)
    return codes // max(len(new_label), 1), codes % max(len(new_label), 1), shared.astype(np.int64)


def _several(whole: Integers, piece: Integers, inside: Floats, share: Floats, wholes: int, pieces: int) -> tuple[Flags, Flags]:
    """Return which objects have several pieces lying in them, and which objects are such pieces."""
    lies = (inside > WITHIN) & (share >= PART)
    several = np.bincount(whole[lies], minlength=wholes) > 1
    are = np.zeros(pieces, np.bool_)
    are[piece[lies & several[whole]]] = True
    return several, are


def _fates(count: int, otherwise: Fate, *said: tuple[NDArray[Any], Fate]) -> NDArray[Any]:
    """Return a fate for each object; what is said last holds."""
    fates = np.full(count, str(otherwise), dtype="<U8")
    for which, fate in said:
        fates[which] = str(fate)
    return fates


@dataclass(frozen=True)
class FieldComparison:
    """One field: objects before and after, what became of them, and how well the matched ones agree (NaN where there are none)."""

    well: str
    field: int
    old: int
    new: int
    matched: int
    split: int
    merged: int
    lost: int
    added: int
    iou: float
    area_ratio: float

    @property
    def differing(self) -> float:
        """Return the share of the objects that are not matched, from 0 to 1: of the old and new ones together."""
        return 1.0 - 2.0 * self.matched / (self.old + self.new) if self.old + self.new else 0.0


def compare_field(well: str, field: int, matches: Matches) -> FieldComparison:
    """Sum up what became of the objects of a field; merged are old objects, added new ones that nothing was."""
    ratio = matches.area_ratio
    return FieldComparison(
        well=well,
        field=field,
        old=len(matches.old_label),
        new=len(matches.new_label),
        matched=len(matches.pairs),
        split=matches.count(Fate.SPLIT),
        merged=matches.count(Fate.MERGED),
        lost=matches.count(Fate.LOST),
        added=matches.count(Fate.NEW, new=True),
        iou=float(matches.iou.mean()) if matches.iou.size else float("nan"),
        area_ratio=float(np.median(ratio)) if ratio.size else float("nan"),
    )


@dataclass(frozen=True)
class MasksComparison:
    """A plate: every field, and of all matched objects together the intersection over union and the area over what it was."""

    fields: tuple[FieldComparison, ...]
    iou: Floats
    area_ratio: Floats

    def total(self, name: str) -> int:
        """Return the sum of a count over the fields."""
        return sum(int(getattr(field, name)) for field in self.fields)

    @property
    def worst(self) -> list[FieldComparison]:
        """Return the fields in which anything differs, what differs most first."""
        found = [field for field in self.fields if field.differing > 0]
        return sorted(found, key=lambda field: (-field.differing, field.well, field.field))

    @property
    def wells(self) -> dict[str, tuple[int, int]]:
        """Return the objects of each well, before and after."""
        found: dict[str, tuple[int, int]] = {}
        for field in self.fields:
            old, new = found.get(field.well, (0, 0))
            found[field.well] = (old + field.old, new + field.new)
        return found


def compare_masks(old: str | Path, new: str | Path, progress: Progress | None = None) -> MasksComparison:
    """Match the objects of every field of two masks artifacts of one plate, one field in memory at a time.

    Raises LayoutError where the two are of other wells or fields, IntegrityError for labels that cannot be read.
    """
    before, after = Path(old) / PLATE, Path(new) / PLATE
    one, two = plate_info(before), plate_info(after)
    if (one.wells, one.fields) != (two.wells, two.fields):
        raise LayoutError("Two segmentations are of other plates", on=new, expected=(one.wells, one.fields), got=(two.wells, two.fields))
    found, refs = [], list(iter_fields(before))
    for number, ref in enumerate(refs, 1):
        labels = (read_labels(plate, ref.well, ref.field, LABELS) for plate in (before, after))
        found.append((ref, match(*labels)))
        if progress is not None:
            progress(number, len(refs))
    return MasksComparison(
        tuple(compare_field(ref.well, ref.field, matches) for ref, matches in found),
        np.concatenate([np.zeros(0), *(matches.iou for _, matches in found)]),
        np.concatenate([np.zeros(0), *(matches.area_ratio for _, matches in found)]),
    )
