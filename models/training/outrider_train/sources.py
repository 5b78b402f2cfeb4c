"""Labelled folders, what each may be used for, and sources with their shares in a batch.

Every picture that trains, chooses or is reported comes through `pictures`, which asks what for. A folder is for training, for
choosing on (checkpoints, int8, temperature, thresholds, margins), or reported: nothing of a reported folder is ever loaded to
train or to choose, and nothing of one that is chosen on is loaded to train. A *source* is where a picture came from (`oi2`,
`caltech`, `rl` ...): sources that are held out are reported too, wherever they stand.
"""

import dataclasses
import enum
import json
import pathlib
import re

import cv2
import numpy as np


class Use(enum.IntEnum):
    """What pictures are loaded for; a folder allows its own use and those above it."""

    TRAIN = 0
    CHOOSE = 1
    REPORT = 2


FOLDERS = {
    ("pack", "train"): Use.TRAIN,
    ("pack", "val"): Use.CHOOSE,
    ("pack2", "train"): Use.TRAIN,
    ("pack2", "dev"): Use.CHOOSE,
    ("evaluation",): Use.REPORT,
}
"""What each folder of the data is for, by the end of its path. Another folder says it in its own file `use`: one word."""


class Reported(ValueError):
    """Pictures that are reported were to train or to choose."""


def use_of(folder: pathlib.Path) -> Use:
    """What `folder` is for; ValueError where nobody says."""
    said = folder / "use"
    if said.exists():
        word = said.read_text().strip().upper()
        if word not in Use.__members__:
            raise ValueError(f"{said}: {word!r} is none of {', '.join(u.name.lower() for u in Use)}")
        return Use[word]
    parts = folder.resolve().parts
    for stop in range(len(parts), 0, -1):
        for end, use in FOLDERS.items():
            if parts[:stop][-len(end) :] == end:
                return use
    raise ValueError(f"{folder}: nobody says what these pictures are for; write train, choose or report into {said}")


def source_of(file: str) -> str:
    """The source of a picture by its name: images/rl_001.jpg is rl, oi2/0f5.jpg is oi2."""
    first, _, rest = file.partition("/")
    name = rest if first == "images" else file
    return re.split(r"[/_]", name, maxsplit=1)[0] if first in ("images", file) else first


@dataclasses.dataclass
class Picture:
    """One line of labels.jsonl. `boxes` are [x, y, w, h] in pixels; what is known of each plate runs beside them.

    A text is None where it is not known, which does not say that there is none; `places` are jurisdictions (US-CA, GB).
    """

    path: pathlib.Path
    boxes: list[list[float]]
    texts: list[str | None]
    source: str = ""
    places: list[str | None] = dataclasses.field(default_factory=list)
    tags: list[list[str]] = dataclasses.field(default_factory=list)
    kinds: list[str | None] = dataclasses.field(default_factory=list)
    quads: list | None = None

    def load(self) -> np.ndarray:
        """The picture, uint8 BGR."""
        image = cv2.imread(str(self.path))
        if image is None:
            raise FileNotFoundError(self.path)
        return image


def pictures(folder: pathlib.Path, use: Use, prefix: str = "", held: frozenset[str] = frozenset()) -> list[Picture]:
    """Every picture that `folder`/labels.jsonl lists, in its order, if it may be used so; else Reported is raised.

    `prefix` selects by file name, after a leading `images/`. Pictures of the sources in `held` are left out, unless the use is
    to report.
    """
    allowed = use_of(folder)
    if use < allowed:
        raise Reported(f"{folder} is there to {allowed.name.lower()}; it was to be loaded to {use.name.lower()}")
    out = []
    for number, line in enumerate((folder / "labels.jsonl").read_text().splitlines(), 1):
        item = json.loads(line)
        if use < Use.REPORT and "EVAL-ONLY" in item.get("licence", "").upper():
            raise Reported(f"{folder}/labels.jsonl, line {number}: its licence allows evaluation only")
        source, boxes = source_of(item["file"]), item["boxes"]
        if not item["file"].removeprefix("images/").startswith(prefix) or (use < Use.REPORT and source in held):
            continue
        beside = {k: item.get(k) or [None] * len(boxes) for k in ("jurisdiction", "tags", "kind")}
        tags = [t or [] for t in beside["tags"]]
        out.append(
            Picture(
                folder / item["file"],
                boxes,
                item["text"],
                source,
                beside["jurisdiction"],
                tags,
                beside["kind"],
                item.get("quads"),
            )
        )
    return out


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder, or the files in it whose names begin with `prefix`; `share` = its samples in a batch of 64."""

    name: str
    folder: pathlib.Path
    prefix: str
    share: float

    @classmethod
    def parse(cls, text: str) -> "Source":
        """NAME=FOLDER:SHARE or NAME=FOLDER@PREFIX:SHARE."""
        match = re.fullmatch(r"([\w-]+)=([^:@]+)(?:@([^:@]*))?:(\d+(?:\.\d+)?)", text)
        if match is None:
            raise ValueError(f"{text!r} is not NAME=FOLDER:SHARE or NAME=FOLDER@PREFIX:SHARE")
        return cls(match[1], pathlib.Path(match[2]), match[3] or "", float(match[4]))


def usual(data: pathlib.Path) -> list[Source]:
    """What the reader trains on where nothing else is said: both packs, where they are there."""
    both = [Source("pack", data / "pack/train", "", 6), Source("pack2", data / "pack2/train", "", 17)]
    return [s for s in both if s.folder.exists()]


@dataclasses.dataclass(frozen=True)
class Weights:
    """How often plates are drawn against others of their source: by source, tag and jurisdiction (US weighs all its states)."""

    of: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, texts: list[str]) -> "Weights":
        """From KEY=FACTOR each; 0 leaves such plates out."""
        pairs = []
        for text in texts:
            key, sign, factor = text.partition("=")
            if not sign or not re.fullmatch(r"\d+(\.\d+)?", factor):
                raise ValueError(f"{text!r} is not KEY=FACTOR")
            pairs.append((key, float(factor)))
        return cls(tuple(pairs))

    def factor(self, source: str, place: str | None, tags: list[str]) -> float:
        """The product of what applies."""
        keys, out = {source, place or "", (place or "").partition("-")[0], *tags} - {""}, 1.0
        for key, factor in self.of:
            if key in keys:
                out *= factor
        return out


USUAL_WEIGHTS = Weights(
    (
        ("stacked", 0.7),
        ("nonlatin", 0.3),
        ("US", 1.6),
        ("CA", 2.0),
        ("caltech", 0.7),
        ("US-VA", 2.0),
        ("serif_I", 2.0),
        ("two_lines", 2.5),
    )
)
"""Plates of where the cars are, and the dies of which there are few, more often; one car park's less."""
