"""What it is to keep a decoder's linear weights in fewer bits, and what a model then holds."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

from torch import Tensor, nn

from steergauge.models.precision import Precision


@dataclass(frozen=True)
class Quantization(ABC):
    """A format for the weights of the linear layers in the decoder blocks; all else keeps its precision.

    Attributes:
        name: what `--precision` takes.
        format: the format in words.
        group: what the number of inputs of every layer must be a multiple of.
    """

    name: str
    format: str
    group: int

    package: ClassVar[str]
    """The library whose format and arithmetic it is."""
    devices: ClassVar[tuple[str, ...]]
    """The kinds of device that it runs on."""

    @property
    def library(self) -> str:
        """The library with its version: another one may round otherwise."""
        return f"{self.package} {version(self.package)}"

    @abstractmethod
    def require(self) -> None:
        """Makes sure that the library is there.

        Raises:
            SteergaugeError: it is not; the extra that brings it is named.
        """

    @abstractmethod
    def quantize(self, linear: nn.Linear, device: str) -> nn.Linear:
        """The layer on the device with its weight in this format, in evaluation mode.

        Args:
            linear: a layer in the precision of what it will be given and give back; it may be changed.
            device: where it will run.
        """

    @abstractmethod
    def stored(self, layer: nn.Module) -> tuple[Tensor, ...] | None:
        """What holds a layer's weight, scales included; None where it is not in this format.

        Raises:
            SteergaugeError: it is, but the layer does not compute as it should.
        """

    def computes_in(self, precision: Precision) -> str:
        """What the matrix products are computed in, in words."""
        return precision


@dataclass(frozen=True)
class Quantized:
    """What a loaded model's quantisation came to, counted on the model itself.

    Attributes:
        quantization: the format.
        layers: the linear layers of its blocks, all of them quantised.
        weights: how many weights those have.
        of_weights: how many the whole model has.
        bytes: the memory that the quantised weights take, with their scales.
        computes_in: what their matrix products are computed in, in words.
    """

    quantization: Quantization
    layers: int
    weights: int
    of_weights: int
    bytes: int
    computes_in: str
