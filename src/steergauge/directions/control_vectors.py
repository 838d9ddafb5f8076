"""GGUF control vectors, as llama.cpp and repeng write and read them.

A file holds one float32 tensor `direction.k` a block, which is added to r_k times a strength given where it is used. k is
the 0-based block in both: repeng reads and adds r_k; llama.cpp keeps the tensor as row k − 1 of its data and adds row
k − 1 at block k. llama.cpp refuses a file with `direction.0`, so **block 0 cannot be expressed**.

Both add at each block that block's own vector. The study adds û_l at every block from l on: `steered_from` writes that.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from numpy.typing import NDArray

from steergauge.atomic import replacing
from steergauge.directions.axes import require_readings
from steergauge.directions.direction import Direction
from steergauge.errors import SteergaugeError

logger = logging.getLogger(__name__)

ARCHITECTURE = "controlvector"
_MODEL_HINT = f"{ARCHITECTURE}.model_hint"
_LAYER_COUNT = f"{ARCHITECTURE}.layer_count"
_METHOD = "steergauge.method"  # other readers pass over keys that they do not know
_SCALE = "steergauge.scale"
_STEM = "direction."
_STREAM = "block output"
_NOT_IN_A_FILE = ("the distances of the classes", "the token read", "the model's fingerprint")


@dataclass(frozen=True)
class ControlVectorExport:
    """What a file holds, and what it cannot.

    Attributes:
        path: the file.
        blocks: those that it adds at.
        lost: those that it should add at and cannot: block 0 or none.
        warning: what the loss means, or None.
        dropped: what else the direction has and the file does not, in words.
    """

    path: Path
    blocks: tuple[int, ...]
    lost: tuple[int, ...]
    warning: str | None
    dropped: tuple[str, ...]


def save_control_vectors(
    direction: Direction,
    path: Path | str,
    *,
    model_hint: str,
    scale: float = 1.0,
    steered_from: int | None = None,
) -> ControlVectorExport:
    """Writes `scale`·û_k at each block k, or, for the study's rule, `scale`·û_l at each block from l on.

    Unit vectors times a scale, so that llama.cpp's and repeng's strength is the raw dose α where the scale is 1.

    Args:
        direction: read at the blocks' outputs, where control vectors are added.
        path: the file, which is replaced.
        model_hint: the architecture's name, such as `qwen2`: repeng reads no file without one.
        scale: what unit vectors are multiplied by, the raw dose at strength 1.
        steered_from: l of the study's rule; None gives each block its own vector.

    Raises:
        SteergaugeError: the direction belongs to another place of the stream, l is out of range, the scale is 0
            or not finite, or the file cannot be written.
    """
    _require_exportable(direction, model_hint, scale, steered_from)
    path = Path(path)
    first = steered_from or 0
    written = tuple(range(max(first, 1), direction.blocks))
    if not written:
        raise SteergaugeError(
            "a direction of one block cannot be a control vector: block 0 cannot be expressed"
        )
    lost = (0,) if first == 0 else ()
    warning = None
    if lost:
        warning = (
            f"{path} has nothing for block 0, which no control vector can express: "
            f"it adds at blocks 1 to {written[-1]} only"
        )
        logger.warning("%s", warning)
    with replacing(path) as partial:
        writer = GGUFWriter(str(partial), ARCHITECTURE)
        writer.add_string(_MODEL_HINT, model_hint)
        writer.add_uint32(_LAYER_COUNT, direction.blocks - 1)
        writer.add_string(_METHOD, direction.method)
        writer.add_float64(_SCALE, scale)
        for block in range(1, direction.blocks):  # zeros too: repeng looks for every block that it controls
            unit = direction.vectors[block if steered_from is None else steered_from].astype(np.float64)
            writer.add_tensor(f"{_STEM}{block}", (scale * unit * (block >= first)).astype(np.float32))
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
    others = () if steered_from is None else (f"the vectors of all blocks but {steered_from}",)
    return ControlVectorExport(path, written, lost, warning, (*others, *_NOT_IN_A_FILE))


def _require_exportable(
    direction: Direction, model_hint: str, scale: float, steered_from: int | None
) -> None:
    if direction.site != _STREAM:
        raise SteergaugeError(
            f"a control vector is added to the {_STREAM}, and this direction was read at the {direction.site}; "
            f"extract one from the {_STREAM}"
        )
    if not model_hint:
        raise SteergaugeError(
            "a control vector needs the architecture's name as model_hint, such as 'qwen2'; repeng reads none without"
        )
    if not np.isfinite(scale) or scale == 0:
        raise SteergaugeError(
            f"the scale of a control vector must be a finite number other than 0, not {scale}"
        )
    if steered_from is not None and not 0 <= steered_from < direction.blocks:
        raise SteergaugeError(
            f"block {steered_from} is out of range: the direction has blocks 0 to {direction.blocks - 1}"
        )


@dataclass(frozen=True, eq=False)
class ControlVectors:
    """What a file adds at strength 1.

    Attributes:
        path: the file.
        model_hint: the architecture it says it was made on, or nothing.
        method: how it was made, if steergauge wrote it, else `control_vector`.
        vectors: (width,) at each block that it adds at; never block 0, never all zeros.
    """

    path: Path
    model_hint: str
    method: str
    vectors: Mapping[int, NDArray[np.float32]]

    @property
    def width(self) -> int:
        """The width of the stream it belongs to."""
        return len(next(iter(self.vectors.values())))

    def at(self, block: int) -> NDArray[np.float32]:
        """What is added to r_k, (width,).

        Raises:
            SteergaugeError: the file adds nothing there.
        """
        if block not in self.vectors:
            reason = ", which no control vector can express" if block == 0 else ""
            raise SteergaugeError(
                f"{self.path} has nothing for block {block}{reason}; "
                f"it has blocks {', '.join(map(str, self.vectors))}"
            )
        return self.vectors[block]

    def direction(
        self, positive: NDArray[np.float32], negative: NDArray[np.float32], needed: Sequence[int]
    ) -> Direction:
        """Unit vectors, with the separation of a model's classes along them, which no control vector says.

        At blocks that the file has nothing for, vector and raw norm are 0: nothing is added there. Where a block
        is not needed its raw norm may be negative: the classes then lie the other way round along its vector.

        Args:
            positive: the model's readings of the positive prompts, (prompts, blocks, width).
            negative: the same for the negative prompts.
            needed: the blocks that will be steered from, at which the direction must be whole.

        Raises:
            SteergaugeError: a needed block has no vector, the classes do not lie along it, or the model has another
                width or fewer blocks.
        """
        require_readings(self.method, positive, negative)
        _, blocks, width = positive.shape
        if width != self.width:
            raise SteergaugeError(f"{self.path} is {self.width} wide and the model's stream {width}")
        if max(self.vectors) >= blocks:
            raise SteergaugeError(
                f"{self.path} adds at block {max(self.vectors)} and the model has blocks 0 to {blocks - 1}"
            )
        difference = positive.mean(axis=0, dtype=np.float64) - negative.mean(axis=0, dtype=np.float64)
        vectors, separations = np.zeros((blocks, width), dtype=np.float32), np.zeros(blocks)
        for block, added in self.vectors.items():
            unit = added.astype(np.float64) / np.linalg.norm(added.astype(np.float64))
            vectors[block], separations[block] = unit, difference[block] @ unit
        for block in needed:
            self.at(block)
            if separations[block] <= 0:
                raise SteergaugeError(
                    f"along {self.path} at block {block} the positive class does not lie above the negative one "
                    f"(by {separations[block]:.3g}): it does not point to this contrast set's positive class"
                )
        return Direction(self.method, vectors, separations)


def load_control_vectors(path: Path | str) -> ControlVectors:
    """Reads a control vector that llama.cpp, repeng or steergauge wrote. A tensor of zeros counts as none.

    Raises:
        SteergaugeError: no such file, not a GGUF control vector, or one that llama.cpp would refuse: block 0, other than
            float32, of several widths; or a number in it is not finite.
    """
    path = Path(path)
    try:
        reader = GGUFReader(path)
        architecture, model_hint, method = (
            _text(reader, key) for key in ("general.architecture", _MODEL_HINT, _METHOD)
        )
    except OSError as error:
        raise SteergaugeError(f"cannot read the control vector {path}: {error.strerror}") from None
    except (ValueError, IndexError, KeyError) as error:
        raise SteergaugeError(f"{path} is not a whole GGUF file: {error}") from None
    if architecture != ARCHITECTURE:
        raise SteergaugeError(
            f"{path} is a GGUF file of {architecture or 'nothing'}, not of a {ARCHITECTURE}"
        )
    vectors = dict(sorted(_vector(path, tensor) for tensor in reader.tensors))
    widths = sorted({len(vector) for vector in vectors.values()})
    if len(widths) > 1:
        raise SteergaugeError(f"{path} has vectors of several widths, {', '.join(map(str, widths))}")
    vectors = {block: vector for block, vector in vectors.items() if vector.any()}
    if not vectors:
        raise SteergaugeError(f"{path} has no vector: it would add nothing")
    return ControlVectors(path, model_hint, method or "control_vector", vectors)


def _text(reader: GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    return "" if field is None else str(field.contents())


def _vector(path: Path, tensor: Any) -> tuple[int, NDArray[np.float32]]:
    block = tensor.name.removeprefix(_STEM)
    if not (tensor.name.startswith(_STEM) and block.isascii() and block.isdigit()):
        raise SteergaugeError(
            f"{path} has a tensor {tensor.name!r}; a control vector's are {_STEM}1, {_STEM}2 …"
        )
    if int(block) == 0:
        raise SteergaugeError(
            f"{path} has {tensor.name!r}: block 0 cannot be expressed, llama.cpp refuses the file"
        )
    if tensor.tensor_type != GGMLQuantizationType.F32 or tensor.data.ndim != 1:
        raise SteergaugeError(
            f"{path}, {tensor.name}: {tensor.data.ndim} dimensions of {tensor.tensor_type.name}; "
            "a control vector's tensors are one dimension of F32"
        )
    vector = np.array(tensor.data, dtype=np.float32)  # a copy: the reader's is a view of the file
    if not np.isfinite(vector).all():
        raise SteergaugeError(f"{path}, {tensor.name}: a number is not finite")
    return int(block), vector
