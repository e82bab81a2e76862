"""Images larger than memory, cut into overlapping blocks: who is responsible for which object, and how the parts become one label image.

The geometry is that of `stardist.big`: blocks overlap by `OVERLAP` and by what the model must see around each of them; an object belongs
to the one block that sees all of it. So an object must be smaller than the overlap: a larger one is kept as far as its last block
sees it, and reported. Nothing here depends on who predicts which block, or when.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldchain.errors import IntegrityError
from coldchain.imaging.fieldzarr import attributes_of, open_level, read_region, translated
from coldchain.imaging.pyramid import Frame, create_level

WHOLE = 4096 * 4096  # px: an image up to this size is segmented in one piece
LONGEST = 4096  # px, the longest side of a block of a plane
DEEPEST = 128  # planes, the deepest block of a stack
NARROWEST = 512  # px, what a side of a block of a deep stack has at least
OVERLAP = 128  # px: objects up to this size are found whole, wherever a seam lies
ALIGNED = 32  # px: blocks begin on multiples of it, as networks pool by powers of two

Region = tuple[slice, ...]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Kept:
    """What one block contributes: labels 1..n of the objects that are its own, in its own region, and the boxes of those cut off."""

    labels: Labels
    objects: int
    cut: list[list[list[int]]]


def is_large(shape: Sequence[int]) -> bool:
    """Whether an image (y, x) or (z, y, x) is segmented by blocks."""
    return math.prod(shape) > WHOLE


def cover(shape: Sequence[int], context: int) -> tuple[Any, ...]:
    """Cover an image (y, x) or (z, y, x) by overlapping blocks (`stardist.big.BlockND`), in a fixed order.

    `context` is how many pixels around a block the model must see. The same shape and context give the same blocks.
    """
    from stardist.big import BlockND

    plans = [_axis(size, longest, overlap, context) for size, (longest, overlap) in zip(shape, _limits(shape), strict=True)]
    sides, overlaps, contexts, grids = zip(*plans, strict=True)
    return tuple(BlockND.cover(shape, "ZYX"[-len(shape) :], sides, overlaps, contexts, grids))


def pieces(shape: Sequence[int], context: int, count: int) -> tuple[Any, ...]:
    """Return the `count` blocks that an image was cut into: those of :func:`cover`, or one for all of an image that is not large.

    An image of few pixels may yet be longer than a block.
    """
    from stardist.big import BlockND

    return cover(shape, context) if count > 1 else tuple(BlockND.cover(shape, "ZYX"[-len(shape) :], shape, 0, 0))


def _limits(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Longest side of a block, and how far neighbours overlap, along each axis: a block is about what is else segmented in one piece."""
    if len(shape) == 2:
        return [(LONGEST, OVERLAP)] * 2
    side = max(math.isqrt(WHOLE // min(shape[0], DEEPEST)), NARROWEST)
    return [(DEEPEST, OVERLAP // 2), (side, OVERLAP), (side, OVERLAP)]


def _axis(size: int, longest: int, overlap: int, context: int) -> tuple[int, int, int, int]:
    """Side, overlap, context and grid along one axis: as few blocks as there can be, and no longer than it takes."""
    context = _aligned(context)
    shared = overlap + 2 * context
    longest = max(longest, shared + max(shared, 2 * overlap))  # else blocks that are no neighbours would overlap too
    if size <= longest:
        return size, 0, 0, 1
    count = math.ceil((size - shared) / (longest - shared))
    return _aligned(math.ceil((size + (count - 1) * shared) / count)), overlap, context, ALIGNED


def _aligned(side: int) -> int:
    return -(-side // ALIGNED) * ALIGNED


def keep(labels: Labels, block: Any) -> Kept:
    """Keep of a block's labels, as predicted with all it read, the objects that it is responsible for."""
    from scipy.ndimage import find_objects

    own = np.ascontiguousarray(block.crop_context(labels))
    numbers, cut = np.zeros(int(own.max(initial=0)) + 1, np.int32), []
    for label, box in enumerate(find_objects(own), 1):
        said = _responsible(block, box) if box else False
        numbers[label] = said is not False
        if said is None:
            cut.append(_placed(box, block))
    numbers = np.where(numbers > 0, np.cumsum(numbers), 0).astype(np.int32)
    return Kept(numbers[own], int(numbers.max(initial=0)), cut)


def _responsible(block: Any, box: Region) -> bool | None:
    """Whether an object is the block's own; None where it is and reaches further than any block sees."""
    from stardist.big import NotFullyVisible

    cut = False
    for axis, side in zip(block, box, strict=True):
        if axis.at_begin and axis.at_end:
            continue
        try:
            if not axis.is_responsible((side.start, side.stop)):
                return False
        except NotFullyVisible:
            cut = True
    return None if cut else True


def _placed(box: Region, block: Any) -> list[list[int]]:
    """Where an object lies in the whole image: from and to, in pixels, by axis."""
    starts = [side.start for side in block.slice_write()]
    return [[start + side.start, start + side.stop] for start, side in zip(starts, box, strict=True)]


def write_part(folder: Path, kept: Kept) -> None:
    """Write what a block contributes into a folder of its own, under a temporary name first."""
    import zarr

    shape = kept.labels.shape
    staged = folder.with_name(folder.name + ".part")
    for old in (staged, folder):
        shutil.rmtree(old, ignore_errors=True)
    with translated(folder):
        staged.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(staged, attributes={"objects": kept.objects})
        axes = ("z", "y", "x")[-len(shape) :]
        create_level(group, 0, shape, Frame((shape[-2], shape[-1]), np.int32, None), axes=axes)[:] = kept.labels
        staged.replace(folder)


class Parts:
    """The parts of all blocks of one image, read as one label image; where two objects claim a pixel the earlier block's has it."""

    def __init__(self, folders: Sequence[Path], blocks: Sequence[Any]) -> None:
        """Look at what there is. Raises IntegrityError or LayoutError where a part is missing."""
        self._parts = [
            (folder / "s0", open_level(folder / "s0"), block.slice_write()) for folder, block in zip(folders, blocks, strict=True)
        ]
        counts = [_count(folder) for folder in folders]
        self.offsets, self.total = [sum(counts[:number]) for number in range(len(counts))], sum(counts)

    def read(self, region: Region) -> Labels:
        """Read a region; numbers go on from block to block, and may have gaps where an object is hidden by others."""
        out = np.zeros([side.stop - side.start for side in region], np.int32)
        for (path, array, place), offset in zip(self._parts, self.offsets, strict=True):
            shared = [_shared(mine, theirs) for mine, theirs in zip(region, place, strict=True)]
            if all(side.start < side.stop for side in shared):
                there = read_region(array, path, tuple(_moved(side, own.start) for side, own in zip(shared, place, strict=True)))
                here = out[tuple(_moved(side, own.start) for side, own in zip(shared, region, strict=True))]
                np.copyto(here, there + offset, where=(there > 0) & (here == 0))
        return out


def _count(folder: Path) -> int:
    return int(attributes_of(folder)["objects"])


def _shared(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _moved(side: slice, by: int) -> slice:
    return slice(side.start - by, side.stop - by)


def merge(parts: Parts, regions: Iterable[Region], write: Callable[[Region, Labels], None]) -> NDArray[np.int64]:
    """Number all objects 1..n in the order of blocks, write region by region, and return the area of each in pixels.

    One region is in memory at a time. Raises IntegrityError where the regions hold more than was counted.
    """
    places = list(regions)
    sizes = np.zeros(parts.total + 1, np.int64)
    for region in places:
        sizes += _areas(parts.read(region), len(sizes))
    there = sizes > 0
    there[0] = False
    numbers = np.where(there, np.cumsum(there), 0).astype(np.int32)
    for region in places:
        write(region, numbers[parts.read(region)])
    return sizes[there]


def _areas(labels: Labels, count: int) -> NDArray[np.int64]:
    found = np.bincount(labels.ravel(), minlength=count)
    if len(found) > count:
        raise IntegrityError(
            "A block holds more objects than were counted", expected=count - 1, got=len(found) - 1, hint="run the field again"
        )
    return found.astype(np.int64)
