"""Who may look: loopback, tokens, restricted datasets; and the headers of every answer."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from browser.settings import Settings, is_loopback
from storage.objects import LocalStore
from tests.browser.released import NAME, client_of, make_release, reference

TOKEN = "a long token"
PAIRS = f"/datasets/{NAME}/1/pairs"


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/static/browser.css", "/api/datasets", "/api/nowhere", PAIRS]
)
def test_headers_are_on_every_answer(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", PAIRS, f"{PAIRS}/{reference(1).sample_id}"])
def test_pages_keep_their_own_policy(client: TestClient, path: str) -> None:
    page = client.get(path).text
    assert page.count("<script") == 1  # from /static
    assert " style=" not in page and " onclick=" not in page


def test_loopback_answers_to_its_own_name_alone(client: TestClient) -> None:
    for host in ("localhost:4300", "127.0.0.1", "[::1]:4300"):
        assert client.get("/", headers={"host": host}).status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example:4300", ""):
        assert client.get("/", headers={"host": host}).status_code == 421


def test_beyond_loopback_a_token_is_demanded(settings: Settings) -> None:
    with pytest.raises(ValueError, match="expected a token"):
        Settings(root=settings.root, host="0.0.0.0")
    with client_of(Settings(root=settings.root, host="0.0.0.0", token=TOKEN)) as client:
        refused = client.get(f"{PAIRS}?view=AP", follow_redirects=False)
        assert refused.status_code == 303
        assert refused.headers["location"].startswith("/login?next=%2Fdatasets%2F")
        assert client.get("/api/datasets").status_code == 401
        assert client.get(f"{PAIRS}/{reference(1).sample_id}/image.png").url.path == "/login"
        assert client.get("/static/browser.css").status_code == 200
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/datasets", headers=bearer).status_code == 200
        wrong = {"Authorization": "Bearer other"}
        assert client.get("/api/datasets", headers=wrong).status_code == 401


def test_login_gives_a_cookie_that_tells_no_token(settings: Settings) -> None:
    with client_of(Settings(root=settings.root, host="0.0.0.0", token=TOKEN)) as client:
        wrong = client.post("/login", data={"token": "guess", "next": PAIRS})
        assert (wrong.status_code, "That is not the token" in wrong.text) == (401, True)
        right = client.post("/login", data={"token": TOKEN, "next": PAIRS}, follow_redirects=False)
        assert (right.status_code, right.headers["location"]) == (303, PAIRS)
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert client.get(PAIRS).status_code == 200


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"]
)
def test_login_leads_nowhere_else(settings: Settings, elsewhere: str) -> None:
    with client_of(Settings(root=settings.root, host="0.0.0.0", token=TOKEN)) as client:
        form = {"token": TOKEN, "next": elsewhere}
        answer = client.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_restricted_dataset_is_marked_and_stays_on_this_machine(tmp_path: Path) -> None:
    make_release(LocalStore(str(tmp_path)), num_pairs=8, restricted=True)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    sample = f"{PAIRS}/{reference(1).sample_id}"
    with client_of(Settings(root=str(tmp_path))) as client:
        for path in ("/", f"/datasets/{NAME}", PAIRS, sample):
            assert "restricted" in client.get(path).text
    beyond = Settings(root=str(tmp_path), host="0.0.0.0", token=TOKEN)
    with client_of(beyond) as client:
        assert "not shown beyond this machine" in client.get("/", headers=bearer).text
        api = f"/api/datasets/{NAME}/releases/1/pairs"
        for path in (f"/datasets/{NAME}", PAIRS, sample, f"{sample}/image.png", api):
            assert client.get(path, headers=bearer).status_code == 403
    named = Settings(str(tmp_path), "0.0.0.0", TOKEN, show_restricted=frozenset({NAME}))
    with client_of(named) as client:
        assert client.get(sample, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("gpu1", False)],
)
def test_is_loopback_knows_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) is own
