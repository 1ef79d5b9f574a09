import resource
import sys

import pytest
import torch

from models.vlp.kept_memory import freed_memory_kept

BLOCKS, BLOCK_MIB = 16, 8


def page_faults_of_a_step() -> int:
    """Of taking 128 MiB and giving them back, in blocks as large as activations."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(BLOCK_MIB * 2**20, dtype=torch.uint8) for _ in range(BLOCKS)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own")
def test_steps_fault_no_pages_in_anew_while_memory_is_kept() -> None:
    pages = BLOCKS * BLOCK_MIB * 2**20 // resource.getpagesize()
    with freed_memory_kept():
        for _ in range(3):
            page_faults_of_a_step()
        assert page_faults_of_a_step() < pages / 4
    assert page_faults_of_a_step() > pages / 2  # and given back after it
