"""The rules for labels and their regions: what must hold, and what is done where it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..core.errors import DataError, SegmentError

__all__ = ["MAX_OUTLINE", "MAX_POINTS", "RULES", "Finding", "Problem", "finding", "refusal", "sentence", "show"]

MAX_POINTS = 1_000_000
# The rasteriser takes about 100 bytes for each pixel of an outline.
MAX_OUTLINE = 4_000_000

REFUSE, SKIP_IMAGE, SKIP_REGION, CLIP, KEEP = "refuse", "skip image", "skip region", "clip", "keep"

UNTRUSTED = " Its image is left out: without the region, a defect would be taught as background."

RULES: dict[str, tuple[str, str]] = {
    "json-unreadable": (REFUSE, "The file must exist, be complete, and be json."),
    "structure": (REFUSE, "images, annotations and categories are lists of objects; ids are whole numbers; every image "
                          "has a file_name, every category a name."),
    "sets-overlap": (REFUSE, "Several COCO files of a folder are one set where each has photographs of its own."),
    "folder-missing": (REFUSE, "img_path must be a folder."),
    "no-images": (REFUSE, "The json must name images."),
    "no-categories": (REFUSE, "The json must name categories."),
    "no-regions": (REFUSE, "At least one region of one image must be usable."),
    "duplicate-image-id": (REFUSE, "Two images may not share an id, by which regions name their image."),
    "duplicate-category-id": (REFUSE, "Two categories may not share an id."),
    "duplicate-category-name": (REFUSE, "Two categories may not share a name; Roboflow's unused category 0 may."),
    "unknown-category": (REFUSE, "The category of every annotation must be in the json."),
    "file-missing": (SKIP_IMAGE, "An image without a file under img_path is left out."),
    "path-outside": (SKIP_IMAGE, "A file outside img_path (absolute, '..' or a link) is never read. A file inside is "
                                 "looked for first, by the end of the path."),
    "file-ambiguous": (SKIP_IMAGE, "An image whose name several files of the folder may mean is left out."),
    "file-unreadable": (SKIP_IMAGE, "A label file that cannot be read is left out, with its photograph."),
    "path-ambiguous": (SKIP_IMAGE, "Images of different paths may not have one file; the path that fits best has it."),
    "size-mismatch": (SKIP_IMAGE, "The size in the json must be that of the file, as stored or as shown (EXIF)."),
    "image-unreadable": (SKIP_IMAGE, "A file that is no image, or a damaged one, is left out."),
    "image-too-large": (SKIP_IMAGE, "An image over the limit of pixels is left out before it is decoded."),
    "rle-invalid": (SKIP_IMAGE, "An RLE must have the image's size, and runs that fill it exactly." + UNTRUSTED),
    "polygon-invalid": (SKIP_IMAGE, "A polygon is x, y, x, y, … of 3 points or more." + UNTRUSTED),
    "polygon-not-finite": (SKIP_IMAGE, "NaN and infinity are no coordinates." + UNTRUSTED),
    "polygon-far-outside": (SKIP_IMAGE, "A point more than an image's size away belongs to another image." + UNTRUSTED),
    "polygon-too-large": (SKIP_IMAGE, f"A polygon has at most {MAX_POINTS:,} points and an outline of {MAX_OUTLINE:,} "
                                      "pixels." + UNTRUSTED),
    "box-only": (SKIP_IMAGE, "A box without an outline names no pixels of its defect." + UNTRUSTED),
    "shape-unusable": (SKIP_IMAGE, "A point or a line names no pixels of its defect." + UNTRUSTED),
    "mask-whole": (SKIP_IMAGE, "A mask that is 255 in every pixel says nothing (VOC's rim, an alpha channel that was "
                               "never drawn in, black and white exchanged): its photograph is left out."),
    "unknown-image": (SKIP_REGION, "A region of an image that the json does not name is left out."),
    "region-empty": (SKIP_REGION, "An annotation with neither outline nor box (begun, never drawn) is left out."),
    "region-outside": (SKIP_REGION, "A region wholly outside of its image is left out."),
    "region-no-pixel": (SKIP_REGION, "A region too small or thin to cover a pixel is left out."),
    "label-unknown": (SKIP_REGION, "Masks in a folder that is named for none of the labels are left out."),
    "region-clipped": (CLIP, "A region that leaves its image by more than a pixel is cut at the border."),
    "labels-read": (KEEP, "Which format the labels have, and what it was told by."),
    "stray-point": (KEEP, "A polygon of one or two points beside whole ones is left out: a click that was not meant."),
    "void-pixels": (KEEP, "Pixels of 255 beside numbers of classes are VOC's rim, which counts for no class."),
    "taken-as-clean": (KEEP, "A photograph that such labels do not name is clean, as the tool itself takes it."),
    "name-spelt": (KEEP, "The file was found by another spelling of its name: check that it is the right one."),
    "path-shortened": (KEEP, "The file was found in img_path without the first folders of its file_name: check that it "
                              "is the right one."),
    "duplicate-annotation-id": (KEEP, "Annotations that share an id are all used."),
    "box-as-region": (KEEP, "A region drawn with the box tool is used as it is: its corners count as defect too."),
    "same-file": (KEEP, "Several images with one file become one image with the regions of all."),
    "identical-copies": (KEEP, "Byte-identical files are all used, all in the same split."),
    "copies-differ": (KEEP, "Byte-identical files with different regions are all used: one of them is labelled wrong."),
    "class-rare": (KEEP, "A class on fewer than 2 different images is trained; its score cannot be measured."),
    "category-unused": (KEEP, "A category without a usable region gets no channel."),
    "exif-unsure": (KEEP, "Labels of a photograph that EXIF mirrors or turns upside down, or of a turned square one, "
                          "may refer to it as shown or as stored; --exif_labels decides."),
    "bit-depth": (KEEP, "Cameras of 10, 12 or 14 bits write files of 16 bits: the bits in use are found from the "
                        "highest value but for hot pixels, and kept with the model."),
    "value-range": (KEEP, "Files of float, signed or 32-bit values have no range of their own: one is found for all of "
                          "them, but for hot and dead pixels, and kept with the model."),
    "range-unused": (KEEP, "A photograph that uses under a tenth of its range is nearly uniform: check exposure and "
                           "file format."),
    "unlisted-images": (KEEP, "Image files that the json does not name are not used."),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd in a data set.

    Attributes:
        code: key of RULES.
        action: what is done: refuse, skip image, skip region, clip or keep.
        where: the file, image, region or category it was found in.
        detail: what was met, and what was expected.
    """

    code: str
    action: str
    where: str
    detail: str


class Problem(Exception):
    """A broken rule: its code in RULES, and what was met."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


def finding(code: str, where: str, detail: str) -> Finding:
    """Return a finding with the action of its rule."""
    return Finding(code, RULES[code][0], where, detail)


def refusal(what: str, findings: Iterable[Finding], fix: str, beside: Iterable[Finding] = ()) -> DataError:
    """Return the error for labels that are refused: every reason, and the rules that they break.

    Args:
        what: a sentence on what cannot be done.
        findings: of the labels; those that refuse them are told.
        fix: what to do.
        beside: findings that are told with them.
    """
    refused = [item for item in findings if item.action == REFUSE]
    return DataError("\n".join([f"{what}:", *(f"  {item.where}: {item.detail} ({item.code})"
                                             for item in [*refused, *beside])]),
                     " ".join(RULES[code][1] for code in dict.fromkeys(item.code for item in refused)), fix)


def sentence(error: SegmentError | OSError) -> str:
    """An error on one line, as the detail of a finding."""
    if isinstance(error, OSError):
        return str(error)
    return "; ".join(part for part in (error.what, error.expected and f"expected {error.expected}", error.fix) if part)


def show(value: Any) -> str:
    """A value of a json as a message quotes it: at most 60 characters, "nothing" for null."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
