"""A chat model on this machine as a judge. It stands here, since judging itself never touches a model."""

from collections.abc import Callable, Iterator, Sequence

import torch

from steergauge.activations.batches import in_batches
from steergauge.errors import SteergaugeError
from steergauge.judging.endpoint import PREFIX as ENDPOINT
from steergauge.judging.endpoint import EndpointJudge
from steergauge.judging.judges import MODEL, find_judge, require_judge
from steergauge.judging.label import Judge, Judgement, Reading, Unscored
from steergauge.judging.rubric import ANSWERS, question, rubric_version
from steergauge.models.loading import Model, load_model


def silent(done: int, total: int) -> None:
    """Progress for those who ask for none."""


def open_judge(name: str, device: str = "auto", progress: Callable[[int, int], None] = silent) -> Judge:
    """Opens a judge by its name, and loads its model if it is one.

    A model is loaded in its device's own precision, whatever the measured model is in: a judge is the same
    for all that it reads.

    Args:
        name: `study`, `gauge`, `model:NAME` or `endpoint:URL#MODEL`.
        device: where a model runs.
        progress: is told how many outputs a model has read, and of how many.

    Raises:
        SteergaugeError: there is no such judge, or its model cannot be used.
    """
    require_judge(name)
    if name.startswith(MODEL):
        return ModelJudge(load_model(name.removeprefix(MODEL), device=device), progress)
    return EndpointJudge(name, progress) if name.startswith(ENDPOINT) else find_judge(name)


class ModelJudge:
    """Asks a model about each output, and takes the letter that it finds likeliest among the three.

    One forward pass a batch; nothing is generated, so every answer can be read. An output is unscored when it does
    not fit into the model's context, or holds a control token of its tokenizer. The evidence tells how much of the
    three letters' probability the answer has; that is no measured confidence. In bfloat16 it depends a little on
    what is read in the same batch.

    Raises:
        SteergaugeError: the tokenizer does not begin the three answers with three different tokens.
    """

    def __init__(self, model: Model, progress: Callable[[int, int], None] = silent) -> None:
        self.name = f"{MODEL}{model.name}"
        self.version = rubric_version(model.fingerprint)
        self._model, self._progress = model, progress
        self._answers = _answer_tokens(model)
        self._control = {
            token
            for token, added in model.tokenizer.added_tokens_decoder.items()
            if added.special and token != model.tokenizer.unk_token_id
        }
        self._own_control = self._count_control(self._tokens(""))

    def judge(self, text: str) -> Reading:
        """Labels one output."""
        return dict(self.judge_all([text]))[text]

    def judge_all(self, texts: Sequence[str]) -> Iterator[tuple[str, Reading]]:
        """Labels different outputs in batches of about the same length, the shortest first.

        Raises:
            SteergaugeError: the logits are not finite.
        """
        refused = {text: Unscored(why) for text in texts if (why := self._why_not(text))}
        yield from refused.items()
        done = len(refused)
        for some in in_batches(sorted(set(texts) - refused.keys(), key=lambda text: (len(text), text))):
            yield from zip(some, map(_judgement, self._shares(some)), strict=True)
            done += len(some)
            self._progress(done, len(texts))

    def _shares(self, texts: list[str]) -> list[list[float]]:
        """The probabilities of the three answers among themselves, for each text of a batch."""
        encoding = self._model.template.encode([question(text) for text in texts], self._model.device)
        with torch.inference_mode():
            logits = self._model.forward(encoding["input_ids"], encoding["attention_mask"])
        answers = logits[:, self._answers].float()  # (texts, 3)
        if not torch.isfinite(answers).all():
            raise SteergaugeError(
                f"the logits of the judge {self._model.name} in {self._model.precision} are not finite"
            )
        shares: list[list[float]] = answers.softmax(dim=-1).tolist()
        return shares

    def _why_not(self, text: str) -> str | None:
        """Why the model cannot be asked about a text."""
        tokens = self._tokens(text)
        longest = getattr(self._model.module.config.get_text_config(), "max_position_embeddings", None)
        if longest is not None and len(tokens) > longest:
            return f"{len(tokens)} tokens with the question, and the judge reads {longest}"
        if self._count_control(tokens) != self._own_control:
            return "it holds a control token of the judge"
        return None

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._model.template.encode([question(text)], "cpu")["input_ids"][0].tolist()
        return tokens

    def _count_control(self, tokens: Sequence[int]) -> int:
        return sum(token in self._control for token in tokens)


def _judgement(shares: Sequence[float]) -> Judgement:
    (letter, label), share = max(zip(ANSWERS.items(), shares, strict=True), key=lambda pair: pair[1])
    return Judgement(label, f"{letter} has {share:.0%} of the three answers' probability")


def _answer_tokens(model: Model) -> list[int]:
    """What each answer begins with where the model's reply begins, in the order of `ANSWERS`."""
    rendered = model.template.render(question(""))
    before, *answers = (
        model.tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in (rendered, *(rendered + letter for letter in ANSWERS))
    )
    begins = [
        tokens[len(before)] for tokens in answers if tokens[: len(before)] == before and tokens != before
    ]
    if len(set(begins)) < len(ANSWERS):
        raise SteergaugeError(
            f"{model.name} cannot judge: its tokenizer does not begin the answers {', '.join(ANSWERS)} with a token each"
        )
    return begins
