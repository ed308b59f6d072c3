"""scripts/python.sh: which address is listened on."""

from __future__ import annotations

import pytest
from shell import call

ASK = '. scripts/python.sh; listen_on SERVER_HOST "$1" 0.0.0.0'


@pytest.mark.parametrize("host", ["", "x86_64-conda-linux-gnu", "aarch64-conda-linux-gnu", "my-pc", "deadbeef", "a.b",
                                  "plant.example.com.de"])
def test_a_host_that_is_no_address_is_not_listened_on(host):
    done = call("sh", "-euc", ASK, "sh", "", HOST=host)
    assert done.stdout == "0.0.0.0\n" and not done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "192.168.0.7", "::1", "fe80::1"])
def test_a_host_that_is_an_address_is_understood_and_said_to_be_an_old_name(host):
    done = call("sh", "-euc", ASK, "sh", "", HOST=host)
    assert done.stdout == f"{host}\n" and f"say SERVER_HOST={host}" in done.stderr


def test_the_new_name_wins_and_is_not_commented_on():
    done = call("sh", "-euc", ASK, "sh", "10.0.0.1", HOST="127.0.0.1")
    assert done.stdout == "10.0.0.1\n" and not done.stderr
