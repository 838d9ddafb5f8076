import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from labelled_store import TEXTS, fill
from steergauge.errors import SteergaugeError
from steergauge.judging.label import Label
from steergauge.labelling.server import labelling_app
from steergauge.store import Store

BASE = "http://127.0.0.1:8000"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "steergauge.db"


@pytest.fixture
def texts(path: Path) -> dict[str, str]:
    return fill(path)


@pytest.fixture
def client(path: Path, texts: dict[str, str]) -> TestClient:
    return TestClient(labelling_app(path, retest=0.25), base_url=BASE)


def session(client: TestClient, rater: str = "anna") -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/api/session", params={"rater": rater}).raise_for_status().json()
    return answer


def given(item: dict[str, Any], label: str = "normal", rater: str = "anna", **more: str) -> dict[str, Any]:
    return {"rater": rater, "key": item["key"], "showing": item["showing"], "label": label, **more}


def test_a_whole_session_keeps_every_label_as_given(
    client: TestClient, path: Path, texts: dict[str, str]
) -> None:
    state = session(client)
    expected: list[tuple[str, str, int, Label, str]] = []
    assert state["total"] == 12 + 3
    while state["item"]:
        label = list(Label)[len(expected) % 3]
        expected.append(
            (state["item"]["key"], "anna", state["item"]["showing"], label, f"note {len(expected)}")
        )
        body = given(state["item"], label.value, note=f"note {len(expected) - 1}")
        state = client.post("/api/ratings", json=body).raise_for_status().json()
        assert state["done"] == len(expected)
    with Store(path) as store:
        assert store.ratings() == expected
    assert len(expected) == 15
    assert {key for key, *_ in expected} == set(texts)


def test_a_rater_sees_the_prompt_and_the_output_and_nothing_of_how_it_was_made(client: TestClient) -> None:
    item = session(client)["item"]
    assert set(item) == {"key", "showing", "prompt", "text", "cut"}
    assert item["text"] in TEXTS


def test_a_session_is_resumed_where_it_was_left_also_by_a_new_server(client: TestClient, path: Path) -> None:
    first = session(client)
    second = client.post("/api/ratings", json=given(first["item"])).json()
    assert second["item"] != first["item"]
    assert session(client) == second
    assert session(TestClient(labelling_app(path, retest=0.25), base_url=BASE)) == second


def test_raters_do_not_see_each_other(client: TestClient) -> None:
    before = session(client, "ben")
    client.post("/api/ratings", json=given(session(client)["item"])).raise_for_status()
    assert session(client, "ben") == before


def test_a_changed_mind_is_a_further_rating(client: TestClient, path: Path) -> None:
    item = session(client)["item"]
    for label in ("normal", "refusal"):
        state = client.post("/api/ratings", json=given(item, label)).json()
    assert state["done"] == 1
    with Store(path) as store:
        assert [rating.label for rating in store.ratings()] == [Label.NORMAL, Label.REFUSAL]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"label": "unsafe"}, 422),
        ({"rater": "   "}, 422),
        ({"rater": "x" * 61}, 422),
        ({"judge": "study"}, 422),
        ({"key": "missing"}, 409),
        ({"showing": 3}, 409),
    ],
)
def test_what_is_no_label_is_refused_and_not_kept(
    client: TestClient, path: Path, changed: dict[str, Any], status: int
) -> None:
    body = given(session(client)["item"]) | changed
    assert client.post("/api/ratings", json=body).status_code == status
    with Store(path) as store:
        assert store.ratings() == []


def test_another_site_can_neither_read_nor_label(client: TestClient, path: Path) -> None:
    item = session(client)["item"]
    assert client.get("/api/session?rater=anna", headers={"Host": "evil.example"}).status_code == 400
    crossed = client.post("/api/ratings", json=given(item), headers={"Origin": "http://evil.example"})
    assert crossed.status_code == 403
    plain = client.post(
        "/api/ratings", content=json.dumps(given(item)), headers={"Content-Type": "text/plain"}
    )
    assert plain.status_code == 422  # what a form of another site can send
    with Store(path) as store:
        assert store.ratings() == []


@pytest.mark.parametrize("address", ["/", "/page.js", "/page.css", "/api/session?rater=a", "/missing"])
def test_every_answer_forbids_foreign_and_inline_script(client: TestClient, address: str) -> None:
    headers = client.get(address).headers
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "address", ["/server.py", "/../server.py", "/%2e%2e/store.py", "/docs", "/openapi.json"]
)
def test_no_other_file_is_served(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_an_empty_store_is_refused(path: Path) -> None:
    with pytest.raises(SteergaugeError, match="holds no outputs to label"):
        labelling_app(path)
