"""The model that the ways of one process share, with nothing that ends a reply early."""

from dataclasses import replace
from functools import cache

from steergauge.models.loading import Model, load_model


@cache
def loaded(name: str, precision: str) -> Model:
    """The model, of which every output has as many tokens as are asked for."""
    model = load_model(name, precision=precision)
    model.module.generation_config.eos_token_id = None
    return replace(model, stop_tokens=())
