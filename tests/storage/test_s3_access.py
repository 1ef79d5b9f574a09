"""Endpoint, region and credentials as boto3 finds them, handed to Lance."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials

from storage.s3_access import S3Access

_VARIABLES = (
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
)


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what a test sets; no host's role is looked for."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def _keys(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if not name.startswith("client_")}


def test_variables_reach_lance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    access = S3Access.from_environment()
    assert _keys(access.lance_options()) == {
        "aws_endpoint": "http://127.0.0.1:9",
        "allow_http": "true",
        "aws_region": "eu-west-3",
        "aws_access_key_id": "mine",
        "aws_secret_access_key": "hidden",
        "aws_session_token": "token",
    }
    assert access.source == "env"


def test_profile_with_an_endpoint_of_its_own_reaches_lance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = eu-north-1\nendpoint_url = https://s3.lab.example\n"
    )
    (tmp_path / "credentials").write_text(
        "[lab]\naws_access_key_id = mine\naws_secret_access_key = hidden\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    options = S3Access.from_environment().lance_options()
    assert options["aws_endpoint"] == "https://s3.lab.example"
    assert (options["aws_region"], options["aws_access_key_id"]) == ("eu-north-1", "mine")


def test_aws_itself_is_left_to_lance_with_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    access = S3Access.from_environment()
    assert _keys(access.lance_options()) == {"aws_region": "eu-north-1"}
    assert access.source is None


def test_credentials_that_expire_are_renewed_for_every_opening() -> None:
    issued: list[str] = []

    def issue() -> dict[str, str]:
        """Good for a minute, which boto3 finds too short to go on with."""
        issued.append(f"key{len(issued)}")
        expires = datetime.now(UTC) + timedelta(seconds=60)
        return {
            "access_key": issued[-1],
            "secret_key": "hidden",
            "token": "token",
            "expiry_time": expires.isoformat(),
        }

    inner = botocore.session.Session()
    inner._credentials = RefreshableCredentials.create_from_metadata(issue(), issue, "role")
    session = boto3.session.Session(botocore_session=inner, region_name="us-east-1")
    access = S3Access(session, "http://127.0.0.1:9")
    opened = [access.lance_options()["aws_access_key_id"] for _ in range(2)]
    assert opened == issued[1:]
    assert len(set(opened)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("AWS_ENDPOINT_URL", "nowhere"), ("AWS_PROFILE", "absent"), ("AWS_REGION", "no region!")],
)
def test_what_cannot_be_is_one_line_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(
        ValueError, match=f"S3 must be configured .*{value}.*check AWS_ENDPOINT_URL"
    ):
        S3Access.from_environment()
