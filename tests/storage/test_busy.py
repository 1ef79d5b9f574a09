import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
import pytest

from storage.busy import exclusive_run
from storage.errors import DatasetBusy
from storage.layout import DatasetLayout
from storage.objects import LocalStore, ObjectStore
from storage.s3 import S3Store
from storage.s3_access import S3Access
from tests.storage.made import LAYOUT

_HOLD = """
import sys, time
from storage.busy import exclusive_run
from storage.layout import DatasetLayout
from storage.objects import LocalStore
with exclusive_run(LocalStore(sys.argv[1]), DatasetLayout(sys.argv[2])):
    sys.stdout.write("held"); sys.stdout.flush(); time.sleep(60)
"""


def _assert_busy(store: ObjectStore, holder: int) -> None:
    with (
        pytest.raises(DatasetBusy, match=f"'test-set' .* process {holder} "),
        exclusive_run(store, LAYOUT),
    ):
        pass


def test_exclusive_run_second_is_told_who_holds_it(store: LocalStore) -> None:
    with exclusive_run(store, LAYOUT):
        _assert_busy(store, os.getpid())


def test_exclusive_run_other_dataset_is_free(store: LocalStore) -> None:
    with exclusive_run(store, LAYOUT), exclusive_run(store, DatasetLayout("other")):
        pass


def test_exclusive_run_can_be_held_again_after_an_error(store: LocalStore) -> None:
    with pytest.raises(KeyError), exclusive_run(store, LAYOUT):
        raise KeyError
    with exclusive_run(store, LAYOUT):
        pass


def test_exclusive_run_killed_holder_frees_it(store: LocalStore) -> None:
    command = [sys.executable, "-c", _HOLD, store.root, LAYOUT.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.read(4) == b"held"
        _assert_busy(store, holder.pid)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with exclusive_run(store, LAYOUT):
        pass


def test_exclusive_run_on_s3_holds_a_file_of_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    access = S3Access(boto3.session.Session("k", "s", region_name="us-east-1"))
    with exclusive_run(S3Store("s3://bucket/one", access), LAYOUT):
        with exclusive_run(S3Store("s3://bucket/other", access), LAYOUT):
            pass
        _assert_busy(S3Store("s3://bucket/one/", access), os.getpid())
