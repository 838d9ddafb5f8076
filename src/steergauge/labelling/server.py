"""The labelling page's server: one output at a time, on this machine alone."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.middleware.trustedhost import TrustedHostMiddleware

from steergauge.errors import SteergaugeError
from steergauge.judging.label import Label
from steergauge.labelling.order import Showing, reading_order
from steergauge.store import Rating, Store

HOST = "127.0.0.1"

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]

_TYPES = {
    "page.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}

# What a model wrote is untrusted: the page loads its own script and style, talks to its own server, and no more.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Item(BaseModel):
    """One output as a rater sees it."""

    key: str
    showing: int
    prompt: str
    text: str
    cut: bool = Field(description="It reached the limit of tokens, so its last sentence may lack its end.")


class Session(BaseModel):
    """How far a rater is, and what comes next."""

    done: int
    total: int
    item: Item | None = Field(description="None when everything is read.")


class GivenRating(BaseModel):
    """A label as the page sends it."""

    model_config = ConfigDict(extra="forbid")

    rater: Name
    key: str
    showing: int
    label: Label
    note: str = Field(default="", max_length=2000)


class Reading:
    """What is to be read in a store, for any number of raters.

    Raises:
        SteergaugeError: the store holds no generations.
    """

    def __init__(self, path: Path, sample: int | None, retest: float, seed: int) -> None:
        self.path, self._sample, self._retest, self._seed = path, sample, retest, seed
        with Store(path) as store:
            self._outputs = store.generations()
        self._strata = {key: one.condition for key, one in self._outputs.items()}
        if not self._outputs:
            raise SteergaugeError(f"the store {path} holds no outputs to label yet")

    def order(self, rater: str) -> list[Showing]:
        """The rater's showings, from first to last."""
        return reading_order(self._strata, rater, self._sample, self._retest, self._seed)

    def session(self, rater: str) -> Session:
        """The rater's place: the first showing without a label is next."""
        order = self.order(rater)
        with Store(self.path) as store:
            rated = {(one.key, one.showing) for one in store.ratings() if one.rater == rater}
        missing = [showing for showing in order if showing not in rated]
        item = self._item(missing[0]) if missing else None
        return Session(done=len(order) - len(missing), total=len(order), item=item)

    def _item(self, shown: Showing) -> Item:
        output = self._outputs[shown.key]
        return Item(**shown._asdict(), prompt=output.prompt, text=output.text, cut=output.finish != "stop")

    def keep(self, given: GivenRating) -> None:
        """Keeps a label.

        Raises:
            SteergaugeError: the rater was not to be shown this.
        """
        if Showing(given.key, given.showing) not in self.order(given.rater):
            raise SteergaugeError(f"{given.rater} was not shown {given.key}, time {given.showing}")
        with Store(self.path) as store:
            store.rate(Rating(given.key, given.rater, given.showing, given.label, given.note))


def labelling_app(path: Path, sample: int | None = None, retest: float = 0.1, seed: int = 0) -> FastAPI:
    """The page and what it asks for.

    Args:
        path: the store.
        sample: how many outputs are read; all of them when None.
        retest: the share that is shown a second time.
        seed: of the sample and the orders.

    Raises:
        SteergaugeError: the store cannot be used, or holds no generations.
    """
    reading = Reading(path, sample, retest, seed)
    app = FastAPI(openapi_url=None)
    # A page of another site that finds its way to this address by its own name is turned away.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.middleware("http")
    async def _guard(request: Request, call_next):  # type: ignore[no-untyped-def]
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(SteergaugeError)
    def _told(_: Request, error: SteergaugeError) -> Response:
        return Response(str(error), status_code=409, media_type="text/plain; charset=utf-8")

    @app.get("/api/session")
    def session(rater: Name) -> Session:
        return reading.session(rater)

    @app.post("/api/ratings", dependencies=[Depends(_same_origin)])
    def rate(given: GivenRating) -> Session:
        reading.keep(given)
        return reading.session(given.rater)

    @app.get("/")
    def page() -> Response:
        return _file("page.html")

    @app.get("/{name}")
    def file(name: str) -> Response:
        return _file(name)

    return app


def _same_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and origin != str(request.base_url).rstrip("/"):
        raise HTTPException(403, "labels are taken from the page of this server alone")


def _file(name: str) -> Response:
    if name not in _TYPES:
        raise HTTPException(404)
    own = files("steergauge.labelling").joinpath(name)
    return Response(own.read_bytes(), headers={"Content-Type": _TYPES[name]})
