"""What is done to the stream h along a unit vector û, at each steered block and position."""

from enum import StrEnum

import torch
from torch import Tensor


class Operation(StrEnum):
    """Where the component ⟨h, û⟩ goes.

    `add`: to ⟨h, û⟩ + α. `ablate`: to 0. `clamp`: to a target. `affine`: to ⟨μ⁻ + c·Δ, û⟩, the negative mean at
    c = 0 and the positive one at c = 1 (ACE). All four leave the rest of h as it is. `rotate`: to ⟨h, û⟩ + α by
    a turn of h towards û, which shrinks or stretches the rest so that ‖h‖ stays.
    """

    ADD = "add"
    ABLATE = "ablate"
    AFFINE = "affine"
    CLAMP = "clamp"
    ROTATE = "rotate"

    @property
    def sets_component(self) -> bool:
        """Whether the component is put somewhere, wherever it was: then nothing adds up over blocks."""
        return self in (Operation.ABLATE, Operation.AFFINE, Operation.CLAMP)


def rotation(streams: Tensor, vectors: Tensor, amounts: Tensor) -> Tensor:
    """What turns each stream in the plane of itself and û, its component moved by an amount and its norm kept.

    With c = ⟨h, û⟩ and c' = c + α, at most ±‖h‖: h' = c'·û + √(‖h‖² − c'²)·w, where w is the unit vector along
    h − c·û. A stream along ±û, to float32's rounding, has no w and so no plane: it stays as it is.

    Args:
        streams: h in float32, (rows, tokens, width).
        vectors: û, (rows, width).
        amounts: α, (rows,); at 0 every bit stays.

    Returns:
        h' − h, (rows, tokens, width).
    """
    units = vectors[:, None, :]
    component = torch.einsum("rtw,rw->rt", streams, vectors)
    rest = streams - component[..., None] * units
    apart = rest.norm(dim=-1)
    norm = (component.square() + apart.square()).sqrt()
    wanted = torch.clamp(component + amounts[:, None], -norm, norm)
    still = (wanted == component) | (apart <= torch.finfo(torch.float32).eps * norm)
    # As a product, since the difference of squares cancels near the pole.
    left = ((norm - wanted) * (norm + wanted)).sqrt()
    moved = torch.where(still, 0.0, wanted - component)
    stretched = torch.where(still, 0.0, left / apart - 1)
    return moved[..., None] * units + stretched[..., None] * rest
