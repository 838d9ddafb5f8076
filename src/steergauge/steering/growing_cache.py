"""Keys and values written in place: transformers' own cache copies all of them at every token."""

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

# Tokens of room that are added when a layer's is full.
ROOM = 64


def growing_cache(config: PreTrainedConfig) -> DynamicCache:
    """The model's cache, its full-attention layers written in place. Sliding and other layers stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [
        GrowingLayer() if type(layer) is DynamicLayer else layer  # type: ignore[no-untyped-call]
        for layer in cache.layers
    ]
    return cache


class GrowingLayer(DynamicLayer):
    """A full-attention layer whose `keys` and `values`, (rows, heads, tokens, width), look into larger tensors."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Writes the new tokens behind the others; returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)  # type: ignore[no-untyped-call]
            self._key_room = key_states[..., :0, :]
            self._value_room = value_states[..., :0, :]
        length = self._length()
        self._key_room, self.keys = _written(self._key_room, length, key_states)
        self._value_room, self.values = _written(self._value_room, length, value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Goes on with these rows, in their order."""
        if length := self._length():
            self._key_room, self._value_room = self._key_room[indices], self._value_room[indices]
            self.keys, self.values = self._key_room[..., :length, :], self._value_room[..., :length, :]

    def _length(self) -> int:
        return int(self.get_seq_length())


def _written(room: Tensor, length: int, new: Tensor) -> tuple[Tensor, Tensor]:
    """The room with the new tokens in it, larger where it was full, and the part of it that is in use."""
    needed = length + new.shape[-2]
    if room.shape[-2] < needed:
        larger = new.new_empty((*new.shape[:-2], needed + ROOM, new.shape[-1]))
        larger[..., :length, :] = room[..., :length, :]
        room = larger
    room[..., length:needed, :] = new
    return room, room[..., :needed, :]
