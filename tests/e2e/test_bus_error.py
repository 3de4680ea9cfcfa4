"""The data file loses blocks under a running kpid: whoever reads one gets SIGBUS, and kpid ends with a sentence."""

import ctypes
import os
import signal

import pytest

from conftest import wait_until
from test_full_disk import fill, small_disk  # noqa: F401 (a fixture)

BODY = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]
metrics:
  signup: { type: counter }
"""
PAGE = 4096
META_PAGES = 2
PUNCH_HOLE = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE, FALLOC_FL_KEEP_SIZE


def wait_for_the_end(daemon, data):
    """Asks until kpid has read what is gone: the answer is a sentence and a status."""

    def ended():
        if daemon.process.poll() is None:
            daemon.kpictl("query", "sum(signup)", "--from", "2020-01-01", "--to", "2040-01-01", check=False)
        return daemon.process.poll() is not None

    wait_until(ended, "kpid to end")
    assert daemon.process.returncode == -signal.SIGBUS
    said = [line for line in daemon.log().splitlines() if "the disk does not give it back" in line]
    assert len(said) == 1 and f"'{data / 'data.mdb'}'" in said[0], daemon.log()
    assert "check the disk" in said[0]


def test_a_file_that_is_cut_short_ends_kpid_with_a_sentence(kpid):
    daemon = kpid(BODY)
    daemon.kpictl("push", "signup=3")
    data = daemon.folder / "data"
    os.truncate(data / "data.mdb", META_PAGES * PAGE)
    wait_for_the_end(daemon, data)
    # What is left is no store, and is not taken for one.
    daemon.spawn()
    assert daemon.process.wait(30) != 0
    assert "data.mdb" in daemon.log().splitlines()[-1] or "data directory" in daemon.log()


def test_a_block_that_the_disk_does_not_give_back_ends_kpid_with_a_sentence(kpid, small_disk):  # noqa: F811
    daemon = kpid(BODY, start=False)
    text = daemon.config_path.read_text()
    daemon.config_path.write_text(text.replace(str(daemon.folder / "data"), str(small_disk / "data")))
    daemon.start()
    daemon.kpictl("push", "signup=3")
    libc = ctypes.CDLL(None, use_errno=True)
    # kpid's own open descriptor has LMDB's locks: another one in this process takes none of them away.
    file = os.open(small_disk / "data" / "data.mdb", os.O_RDWR)
    size = os.fstat(file).st_size
    begin = META_PAGES * PAGE
    done = libc.fallocate(file, PUNCH_HOLE, ctypes.c_long(begin), ctypes.c_long(size - begin))
    os.close(file)
    if done != 0:
        pytest.skip("this file system cannot take a block away")
    fill(small_disk / "filler")
    wait_for_the_end(daemon, small_disk / "data")
