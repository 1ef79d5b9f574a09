"""docker-compose.yml held against the installed Prefect, and its processes started natively.

No container engine is needed: the same commands run with the same environment, against Debian's
Postgres and Redis and SeaweedFS's S3.
"""

import importlib
import importlib.util
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import prefect.settings
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, Settings, temporary_settings

from deployments.lookout import PROBE
from deployments.pools import POOLS
from tests.deployments.compose_file import ROOT, NativeServices, read_compose
from tests.deployments.databases import PASSWORD, postgres, redis, running
from tests.deployments.processes import free_ports, wait_until
from tests.flows.conftest import tiny_plan
from tests.storage.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, seaweedfs

SETTINGS = {
    "POSTGRES_PASSWORD": PASSWORD,
    "REDIS_PASSWORD": PASSWORD,
    "PREFECT_PASSWORD": "a9d2",
    "BROWSER_PASSWORD": "b7f4",
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
}
COMPOSE = read_compose(SETTINGS)
SERVICES: dict[str, Any] = COMPOSE["services"]
REDELIVERY = timedelta(minutes=5)  # docket's, of a task whose server was killed
PREFECT_REDIS = importlib.util.find_spec("prefect_redis")


def _environments() -> Iterator[tuple[str, str]]:
    for service in SERVICES.values():
        yield from service.get("environment", {}).items()


def test_every_prefect_setting_exists_in_the_installed_prefect() -> None:
    named = {name for name, _ in _environments() if name.startswith("PREFECT_")}
    of_redis = {name for name in named if name.startswith("PREFECT_REDIS_")}
    assert len(named) > 20
    assert [name for name in named - of_redis if not hasattr(prefect.settings, name)] == []
    assert not hasattr(prefect.settings, "PREFECT_SERVER_SERVICES_NO_SUCH_SETTING")


def test_every_part_of_redis_has_its_address_in_the_installed_prefect_redis() -> None:
    messaging = pytest.importorskip("prefect_redis.client").RedisMessagingSettings
    cleanup = importlib.import_module("prefect_redis.cleanup_queue").RedisWorkerCleanupQueueSettings
    prefixes = [kind.model_config["env_prefix"] for kind in (messaging, cleanup)]
    named = {name for name, _ in _environments() if name.startswith("PREFECT_REDIS_")}
    assert named == {f"{prefix}url".upper() for prefix in prefixes}, "or it is looked for here"


def test_every_prefect_setting_has_a_value_that_prefect_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in _environments():
        if name.startswith("PREFECT_"):
            monkeypatch.setenv(name, str(value))
    read = Settings().server
    assert read.events.retention_period.days == 7
    assert read.events.expired_bucket_buffer > REDELIVERY, "or silent runs are forgotten"
    assert read.services.db_vacuum.enabled_vacuum_types >= {"events", "flow_runs"}
    assert read.services.db_vacuum.retention_period.days == 90
    assert read.services.task_run_recorder.batch_size == 100
    assert read.database.migrate_on_start is False


def test_only_the_ui_and_the_browser_are_published_and_only_to_this_host() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:4200:4200"], "browser": ["127.0.0.1:4300:4300"]}


def test_secrets_come_from_the_env_file_and_none_is_in_the_repository() -> None:
    example = dict(
        line.split("=") for line in (ROOT / ".env.example").read_text().split() if "=" in line
    )
    required = {name: value for name, value in example.items() if not name.startswith("#")}
    assert required == dict.fromkeys(SETTINGS, "")
    for missing in SETTINGS:
        with pytest.raises(AssertionError, match=missing):
            read_compose({**SETTINGS, missing: ""})


def test_services_that_stay_are_watched_and_what_they_need_comes_first() -> None:
    once = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
    assert once == {"migrate", "bucket", "init"}
    unwatched = {
        name for name in SERVICES if name not in once and "healthcheck" not in SERVICES[name]
    }
    assert unwatched == {"services", "patrol"}, "no port to ask; what ends is started again"
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends == (needed in once), needed


def test_every_pool_has_a_worker_with_and_without_gpus() -> None:
    by_profile: dict[str, set[str]] = {"gpu": set(), "cpu-only": set()}
    for service in SERVICES.values():
        command = service.get("command", [])
        if "--pool" in command:
            pool = command[command.index("--pool") + 1]
            for profile in service.get("profiles", by_profile):
                by_profile[profile].add(pool)
    assert by_profile == {"gpu": set(POOLS), "cpu-only": set(POOLS)}


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeServices]:
    """Postgres, Redis, S3, migration, API, background services, init, one worker, the patrol."""
    if PREFECT_REDIS is None:
        pytest.skip("no prefect-redis in this environment; install the extra fleet")
    folder = tmp_path_factory.mktemp("compose")
    with ExitStack() as started:
        s3 = started.enter_context(seaweedfs(tmp_path_factory.mktemp("s3")))
        postgres_port = started.enter_context(postgres())
        redis_port = started.enter_context(redis(folder))
        api_port, health_port, browser_port = free_ports(3)
        addresses = {
            "@postgres:5432": f"@127.0.0.1:{postgres_port}",
            "@redis:6379": f"@127.0.0.1:{redis_port}",
            "http://s3:8333": s3.endpoint,
            "//api:4200": f"//127.0.0.1:{api_port}",
            "4200": str(api_port),
            "4300": str(browser_port),
            "8080": str(health_port),
            "0.0.0.0": "127.0.0.1",
        }
        services = NativeServices(COMPOSE, addresses, folder)
        services.run("migrate")
        for name in ("api", "services"):
            started.enter_context(running(services.child(name)))
        wait_until(lambda: services.health("api"), "the API")
        services.run("bucket")
        assert "created  deployment generate-dataset" in services.run("init")
        port = {
            "PREFECT_WORKER_WEBSERVER_PORT": str(health_port),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
        }
        started.enter_context(running(services.child("worker-cpu", **port)))
        wait_until(lambda: services.health("worker-cpu"), "the worker")
        started.enter_context(running(services.child("patrol")))
        yield services


@pytest.fixture
def client(native: NativeServices) -> Iterator[SyncPrefectClient]:
    told = native.environment("worker-cpu")
    settings = {
        PREFECT_API_URL: told["PREFECT_API_URL"],
        PREFECT_API_AUTH_STRING: told["PREFECT_API_AUTH_STRING"],
    }
    with temporary_settings(settings), get_client(sync_client=True) as found:
        yield found


@pytest.mark.server
@pytest.mark.s3
@pytest.mark.timeout(600)
def test_native_fleet_refuses_who_has_no_password(native: NativeServices) -> None:
    address = native.environment("worker-cpu")["PREFECT_API_URL"]
    request = urllib.request.Request(f"{address}/flows/filter", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=30)


@pytest.mark.server
@pytest.mark.s3
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("native")
def test_native_patrol_is_let_in_and_its_events_come_through(client: SyncPrefectClient) -> None:
    def is_heard() -> bool:
        probes = EventFilter(event=EventNameFilter(name=[PROBE]))  # of before this moment
        return client.read_events(probes, limit=1).events != []

    wait_until(is_heard, "a probe of the patrol")


@pytest.mark.server
@pytest.mark.s3
@pytest.mark.timeout(600)
def test_native_fleet_makes_a_dataset_on_s3_and_its_release_starts_pretraining(
    native: NativeServices, client: SyncPrefectClient
) -> None:
    plan = tiny_plan(target={"accepted": 8, "reserve": 8}).model_dump(mode="json")
    deployment = client.read_deployment_by_name("generate-dataset/generate-dataset")
    run = client.create_flow_run_from_deployment(deployment.id, parameters={"plan": plan})

    def is_final() -> bool:
        state = client.read_flow_run(run.id).state
        return state is not None and state.is_final()

    wait_until(is_final, "the run", seconds=240)
    state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_completed(), (
        f"{state}: {(native.folder / 'worker-cpu.log').read_text()[-3000:]}"
    )

    chosen = FlowFilter(name=FlowFilterName(any_=["pretrain"]))
    wait_until(lambda: client.read_flow_runs(flow_filter=chosen) != [], "pretraining")
    started = client.read_flow_runs(flow_filter=chosen)[0].parameters
    assert started["root"] == f"s3://{BUCKET}"
    assert started["plan"] == {"name": "tiny", "dataset": "tiny", "release": 1, "model": {}}


@pytest.mark.server
@pytest.mark.s3
@pytest.mark.timeout(600)
def test_native_browser_shows_the_store_to_who_has_its_password(native: NativeServices) -> None:
    address = native.environment("browser")["CXR_FACTORY_BROWSER_URL"]
    with running(native.child("browser")):
        wait_until(lambda: native.health("browser"), "the browser")
        request = urllib.request.Request(f"{address}/api")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=30)
        request.add_header("Authorization", f"Bearer {SETTINGS['BROWSER_PASSWORD']}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["root"] == f"s3://{BUCKET}"
