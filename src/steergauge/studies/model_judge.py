"""A chat model on this machine as a judge. It stands here, since judging itself never touches a model."""

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

import torch
from transformers import DynamicCache

from steergauge.activations.batches import in_batches
from steergauge.errors import SteergaugeError
from steergauge.judging.endpoint import PREFIX as ENDPOINT
from steergauge.judging.endpoint import EndpointJudge
from steergauge.judging.judges import MODEL, find_judge, require_judge
from steergauge.judging.label import Judge, Judgement, Reading, Unscored
from steergauge.judging.rubric import ANSWERS, question, rubric_version
from steergauge.models.loading import Model, load_model
from steergauge.steering.growing_cache import growing_cache


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

    One forward pass a batch, after one over what all questions begin with; nothing is generated, so every answer
    can be read. An output is unscored when it does
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
        questions = {text: self._tokens(text) for text in texts}
        refused = {text: Unscored(why) for text, asked in questions.items() if (why := self._why_not(asked))}
        yield from refused.items()
        done = len(refused)
        waiting = sorted(questions.keys() - refused.keys(), key=lambda text: (len(questions[text]), text))
        begun = self._begin([questions[text] for text in waiting])
        for some in in_batches(waiting):
            shares = self._shares([questions[text] for text in some], begun)
            yield from zip(some, map(_judgement, shares), strict=True)
            done += len(some)
            self._progress(done, len(texts))

    @torch.inference_mode()
    def _begin(self, questions: Sequence[list[int]]) -> DynamicCache:
        """Runs what all questions begin with, which is most of the rubric, once for all."""
        config = self._model.module.config
        cache = growing_cache(config)
        window = getattr(config.get_text_config(), "sliding_window", None)
        longest = max(map(len, questions), default=0)
        if window is not None and window <= 2 * longest:
            return cache  # padding after what is shared would count in the window
        columns = zip(*(question[:-1] for question in questions), strict=False)
        opening = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
        if opening:
            ids = torch.tensor([opening], device=self._model.device)
            self._model.forward(ids, torch.ones_like(ids), cache)
        return cache

    @torch.inference_mode()
    def _shares(self, questions: Sequence[list[int]], begun: DynamicCache) -> list[list[float]]:
        """The probabilities of the three answers among themselves, for each question of a batch."""
        cache, shared, device = copy.deepcopy(begun), begun.get_seq_length(), self._model.device
        rest = [question[shared:] for question in questions]
        width = max(map(len, rest))
        padding = self._model.tokenizer.pad_token_id or 0
        ids = torch.tensor([[padding] * (width - len(row)) + row for row in rest], device=device)
        mask = torch.tensor(
            [[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rest], device=device
        )
        if shared:
            cache.batch_select_indices(torch.zeros(len(rest), dtype=torch.long, device=device))
        answers = self._model.forward(ids, mask, cache)[:, self._answers].float()  # (questions, 3)
        if not torch.isfinite(answers).all():
            raise SteergaugeError(
                f"the logits of the judge {self._model.name} in {self._model.precision} are not finite"
            )
        shares: list[list[float]] = answers.softmax(dim=-1).tolist()
        return shares

    def _why_not(self, tokens: Sequence[int]) -> str | None:
        """Why the model cannot be asked a question of these tokens."""
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
