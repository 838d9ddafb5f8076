"""A judge behind an OpenAI-compatible endpoint: a server of one's own, or a service."""

import json
import logging
import os
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from steergauge.errors import SteergaugeError
from steergauge.judging.label import Judgement, Reading, Unscored
from steergauge.judging.rubric import parse_answer, question, rubric_version

KEY_VARIABLE = "STEERGAUGE_JUDGE_KEY"
"""The environment variable that an API key is read from. It is sent to the endpoint and kept nowhere."""
PREFIX = "endpoint:"

_HOW = f"{PREFIX}URL#MODEL, such as {PREFIX}http://127.0.0.1:8000/v1#my-model"
_TRIES = 4
_AT_ONCE = 8  # requests
_AHEAD = 4 * _AT_ONCE  # requests that may have been made for nothing when one fails
_GIVE_UP = 5  # outputs in a row that get no answer at all
_TOKENS = 8  # of an answer: a letter, and room to see that it is none
_LARGEST_REPLY = 1_000_000  # bytes
_NOBODY_MAY = {401: "refuses the key", 403: "forbids it", 404: "has no such model or path"}
_PASSING = frozenset({408, 409, 425, 429})  # and 500 to 599: another try may succeed

logger = logging.getLogger(__name__)


class _NoAnswerError(Exception):
    """Why an output got no answer."""


class _PassingError(_NoAnswerError):
    """The same, where another try may help."""


class Address(NamedTuple):
    """Where a model answers."""

    url: str
    model: str
    loopback: bool


def parse_address(name: str) -> Address:
    """Reads `endpoint:URL#MODEL`.

    Raises:
        SteergaugeError: it is not that, or the URL holds a user, a password or a query, which would be kept.
    """
    url, _, model = name.removeprefix(PREFIX).partition("#")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise SteergaugeError(f"the judge's URL cannot be read; give {_HOW}") from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise SteergaugeError(
            f"the judge's URL holds a user, a password or a query, and it would be kept with every label: "
            f"give the key in the environment variable {KEY_VARIABLE}"
        )
    if parts.scheme not in ("http", "https") or not host or not model or url.split() != [url]:
        raise SteergaugeError(f"the judge {name!r} is no endpoint; give {_HOW}")
    return Address(url.rstrip("/"), model, _is_loopback(host))


class EndpointJudge:
    """Asks a model at an endpoint about each output, at temperature 0, and takes one of three letters for an answer.

    Any other answer is unscored, and so is an output that gets none after four tries. An endpoint that cannot be
    reached, refuses the key or answers nothing five times in a row is an error: what was read is kept.

    Args:
        name: `endpoint:URL#MODEL`; `/chat/completions` is added to the URL.
        progress: is told how many outputs are read, and of how many.
        timeout: seconds to wait for a connection, and for each part of a reply.
        pause: seconds before the second try; then twice as long each time.

    Raises:
        SteergaugeError: the name is no endpoint's, or a key would go over an open line.
    """

    def __init__(
        self,
        name: str,
        progress: Callable[[int, int], None] = lambda done, total: None,
        timeout: float = 60.0,
        pause: float = 1.0,
    ) -> None:
        self._address = parse_address(name)
        self.name = f"{PREFIX}{self._address.url}#{self._address.model}"
        self.version = rubric_version(self._address.model)
        self._progress, self._timeout, self._pause = progress, timeout, pause
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise SteergaugeError(f"the key in {KEY_VARIABLE} has characters that no key has")
        if self._key and not self._address.loopback and not self._address.url.startswith("https:"):
            raise SteergaugeError(
                f"the key in {KEY_VARIABLE} would go to {self._address.url} unencrypted: use https, or unset it"
            )
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if self._address.loopback:
            handlers.append(urllib.request.ProxyHandler({}))  # no proxy stands between a machine and itself
        self._opener = urllib.request.build_opener(*handlers)

    def judge(self, text: str) -> Reading:
        """Labels one output."""
        return dict(self.judge_all([text]))[text]

    def judge_all(self, texts: Sequence[str]) -> Iterator[tuple[str, Reading]]:
        """Labels outputs in their order, several requests at a time.

        Raises:
            SteergaugeError: the endpoint is not there, does not let us in, or answers nothing over and over.
        """
        unanswered = 0
        for done, (text, reading, answered) in enumerate(self._read_all(texts), 1):
            yield text, reading
            unanswered = 0 if answered else unanswered + 1
            if unanswered == _GIVE_UP:
                raise SteergaugeError(
                    f"the judge at {self._address.url} answered none of {_GIVE_UP} outputs in a row, "
                    f"the last: {reading.evidence}"
                )
            self._progress(done, len(texts))

    def _read_all(self, texts: Sequence[str]) -> Iterator[tuple[str, Reading, bool]]:
        """Each output with its reading, and whether it was answered; never many more are asked than are taken."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for start in range(0, len(texts), _AHEAD):
                some = texts[start : start + _AHEAD]
                yield from (
                    (text, *read) for text, read in zip(some, pool.map(self._read, some), strict=True)
                )

    def _read(self, text: str) -> tuple[Reading, bool]:
        """An output's reading, and whether the endpoint answered at all."""
        try:
            answer = self._ask(question(text))
        except _NoAnswerError as why:
            return Unscored(f"no answer: {why}"), False
        label = parse_answer(answer)
        said = f"answered {answer[:40]!r}"
        return (Unscored(said) if label is None else Judgement(label, said)), True

    def _ask(self, content: str) -> str:
        """The answer to one question, after as many tries as it takes or as there are."""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(self._pause * 2 ** (attempt - 1))
            try:
                return self._try(content)
            except _PassingError as why:
                if attempt == _TRIES - 1:
                    raise _NoAnswerError(f"{why}, {_TRIES} times") from None
                logger.debug("the judge at %s: %s", self._address.url, why)
        raise AssertionError("unreachable")

    def _try(self, content: str) -> str:
        asked = {
            "model": self._address.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": _TOKENS,
        }
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(
            f"{self._address.url}/chat/completions", json.dumps(asked).encode(), headers
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as reply:
                body = reply.read(_LARGEST_REPLY)
        except HTTPError as error:
            error.close()
            if why := _NOBODY_MAY.get(error.code):
                raise SteergaugeError(
                    f"the judge at {self._address.url} {why} (HTTP {error.code}); a key is read from {KEY_VARIABLE}"
                ) from None
            passing = error.code in _PASSING or error.code >= 500
            raise (_PassingError if passing else _NoAnswerError)(f"HTTP {error.code}") from None
        except (TimeoutError, HTTPException, ConnectionResetError) as error:
            raise _PassingError(type(error).__name__) from None
        except (URLError, OSError) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError | ConnectionResetError):
                raise _PassingError(type(getattr(error, "reason", None)).__name__) from None
            raise SteergaugeError(
                f"the judge at {self._address.url} cannot be reached: {getattr(error, 'reason', error)}"
            ) from None
        return _content(body)


def _content(body: bytes) -> str:
    """What the assistant says in a chat completion."""
    try:
        content: Any = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _NoAnswerError("the reply is no chat completion") from None
    return content if isinstance(content, str) else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An endpoint that points elsewhere is not followed: the key was not meant for there."""

    def redirect_request(self, *_args: Any, **_keywords: Any) -> None:
        """Follows nothing."""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
