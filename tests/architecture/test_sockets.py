"""Tests of code alone cannot reach a network, by accident or otherwise."""

import asyncio
import socket

import pytest
from pytest_socket import SocketBlockedError

from tests.support.session import WITHOUT_SOCKETS

REFUSED = (SocketBlockedError, UserWarning)  # pytest-socket warns first, and warnings are errors here


def test_a_network_socket_is_refused() -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with pytest.raises(REFUSED):
            socket.socket(family, socket.SOCK_STREAM)


async def test_an_event_loop_works_nevertheless() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, bytes), 5)


async def test_a_connection_out_is_refused() -> None:
    with pytest.raises(REFUSED):
        await asyncio.open_connection("127.0.0.1", 9)


def test_the_kinds_without_sockets_are_those_that_prove_something_about_code() -> None:
    assert {"architecture", "property", "simulation", "unit"} == WITHOUT_SOCKETS
