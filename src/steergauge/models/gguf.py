"""A GGUF file, dequantised once to float32 and kept as a transformers folder with safetensors."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steergauge.errors import SteergaugeError
from steergauge.models.cache import scratch_beside

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST = "steergauge.json"

CONVERSION = 1
"""Raised when a conversion would come out otherwise than before, so that older ones are made again."""

# A GGUF names one token that ends an answer; llama.cpp knows the others, these, by their spelling.
_END_OF_TEXT = ("<|endoftext|>",)
_END_OF_TURN = ("<|im_end|>", "<end_of_turn>", "<|eot_id|>", "<|end|>")


def convert(gguf: Path, target: Path, *, manifest: dict[str, str], progress: Callable[[str], None]) -> None:
    """Dequantises `gguf` into the folder `target`, with tokenizer, generation settings and a manifest.

    The folder appears with its name only when it is complete.

    Raises:
        SteergaugeError: not a GGUF file, an architecture unknown to transformers, or no room on the disk.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    reader = _open(gguf)
    require_room(
        target.parent, 4 * sum(int(t.n_elements) for t in reader.tensors), f"dequantising {gguf.name}"
    )
    with scratch_beside(target) as scratch:
        # Alone in a folder: transformers prefers a tokenizer.json or config.json that lies beside the GGUF.
        alone = scratch / "source" / "model.gguf"
        alone.parent.mkdir()
        alone.symlink_to(gguf.absolute())
        progress(f"dequantising {gguf.name} to float32, once")
        try:
            with _quiet(progress):
                model = AutoModelForCausalLM.from_pretrained(
                    str(alone.parent), gguf_file=alone.name, dtype=torch.float32, local_files_only=True
                )
                tokenizer = AutoTokenizer.from_pretrained(
                    str(alone.parent), gguf_file=alone.name, local_files_only=True
                )
        except (ValueError, NotImplementedError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SteergaugeError(f"transformers cannot read {gguf}: {reason}") from error
        _mend_tokenizer(tokenizer, reader)
        plain = _plain(model)
        tokenizer.model_max_length = plain.config.max_position_embeddings
        plain.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=_ends(tokenizer) or None,
            pad_token_id=tokenizer.pad_token_id,
        )
        progress(f"writing {target.name}")
        out = scratch / "model"
        with _quiet(progress):
            plain.save_pretrained(out)
            tokenizer.save_pretrained(out)
        files = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
        contents = {
            "conversion": CONVERSION,
            **manifest,
            "quantization": _quantization(reader),
            "files": files,
        }
        (out / MANIFEST).write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)  # an older or damaged conversion
        out.replace(target)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder that `convert` made, or None when there is none or the folder is not whole."""
    try:
        contents: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in contents["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return contents if whole and contents.get("conversion") == CONVERSION else None


def require_room(folder: Path, needed: int, purpose: str) -> None:
    """Refuses to begin what would fill the disk.

    Raises:
        SteergaugeError: fewer than `needed` bytes are free where `folder` is or will be.
    """
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SteergaugeError(
            f"no room for {purpose}: {needed / 1e9:.1f} GB needed in {folder}, {free / 1e9:.1f} GB free; "
            "make room or set STEERGAUGE_CACHE to a folder on a larger disk"
        )


def _open(gguf: Path) -> "GGUFReader":
    from gguf import GGUFReader

    try:
        return GGUFReader(gguf)
    except OSError as error:
        raise SteergaugeError(f"cannot read {gguf}: {error.strerror}") from None
    except (ValueError, IndexError) as error:
        raise SteergaugeError(f"{gguf} is not a whole GGUF file: {error}") from None


def _value(reader: "GGUFReader", key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _quantization(reader: "GGUFReader") -> str | None:
    """The file's own word for it, such as `Q4_K_M`; None for a file that was never quantised."""
    from gguf import GGMLQuantizationType, LlamaFileType

    full = {GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16}
    types = {tensor.tensor_type for tensor in reader.tensors}
    if types <= full:
        return None
    declared = _value(reader, "general.file_type")
    if declared in list(LlamaFileType):
        return LlamaFileType(declared).name.removeprefix("MOSTLY_")
    return " + ".join(sorted(GGMLQuantizationType(kind).name for kind in types - full))


def _plain(model: "PreTrainedModel") -> "PreTrainedModel":
    """The same model without its memory of having been a GGUF, with which it could not be saved."""
    import torch

    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # else the float32 folder would be loaded as a GGUF again
    config.name_or_path = ""
    with torch.device("meta"):  # no time or memory for weights that are replaced at once
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), strict=True, assign=True)
    plain.tie_weights()  # `assign` gives tied weights a tensor each
    return plain


def _mend_tokenizer(tokenizer: "PreTrainedTokenizerBase", reader: "GGUFReader") -> None:
    """Puts back what the model's own tokenizer has and transformers does not rebuild from a GGUF."""
    from tokenizers import normalizers, pre_tokenizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    rule = _value(reader, "tokenizer.ggml.pre")
    if backend is None or _value(reader, "tokenizer.ggml.model") != "gpt2":
        return
    if rule == "smollm":
        # SmolLM splits off every digit before anything else. transformers (5.23) does not know this rule
        # and takes GPT-2's, under which the blank lines in "\n\n1." become two tokens instead of one.
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif rule == "qwen2" and backend.normalizer is None:
        # Qwen composes accents first (NFC); else "e" with a combining accent becomes other tokens than "é".
        backend.normalizer = normalizers.NFC()


def _ends(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Every token that ends an answer, the file's own first.

    A turn can only end where there is a chat template; a base model's text ends, its turns do not.
    """
    vocabulary = tokenizer.get_vocab()
    spellings = _END_OF_TEXT + (_END_OF_TURN if tokenizer.chat_template else ())
    ends = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    ends += [
        vocabulary[token] for token in spellings if token in vocabulary and vocabulary[token] not in ends
    ]
    return ends


@contextmanager
def _quiet(progress: Callable[[str], None]) -> Iterator[None]:
    """Turns transformers' progress bars off, and the dequantising one into lines of `progress`."""
    from transformers import modeling_gguf_pytorch_utils as reading
    from transformers.utils import logging

    def report(tensors: Iterable[Any], **_: Any) -> Iterator[Any]:
        tensors = list(tensors)
        for count, tensor in enumerate(tensors):
            if count and count % max(1, len(tensors) // 4) == 0:
                progress(f"dequantised {count} of {len(tensors)} tensors")
            yield tensor

    shown = logging.is_progress_bar_enabled()
    bar = getattr(reading, "tqdm", None)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if bar is not None:
        vars(reading)["tqdm"] = report
    try:
        yield
    finally:
        if bar is not None:
            vars(reading)["tqdm"] = bar
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
