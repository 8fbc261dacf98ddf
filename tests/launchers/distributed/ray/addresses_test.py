"""Ports of nodes on the hosts that Ray chose."""

import socket

import launchpad as lp
import pytest

from launchers.distributed.ray import (
    addresses,
)


def test_address_is_of_the_host():
    assert addresses.HostAddressBuilder("10.0.0.7", 20123).build() == "10.0.0.7:20123"
    assert addresses.HostAddressBuilder("fd00::7", 20123).build() == "[fd00::7]:20123"


def test_ports_are_held_until_they_are_released():
    ports = addresses.Ports(3)
    assert len(set(ports.numbers)) == 3
    assert all(number in addresses.PORTS for number in ports.numbers)
    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("", ports.numbers[0]))
    ports.release()
    with socket.socket() as other:
        other.bind(("", ports.numbers[0]))


def test_ports_of_an_earlier_life_are_kept():
    assert addresses.Ports(2, wanted=[21000, 21001]).numbers == [21000, 21001]


class _Nothing:
    def __init__(self, *handles):
        del handles


def test_nodes_that_others_use_are_known():
    program = lp.Program("test")
    with program.group("server"):
        server = program.add_node(lp.CourierNode(_Nothing))
    with program.group("client"):
        program.add_node(lp.CourierNode(_Nothing, server))
    serving = addresses.serving(program.get_all_nodes())
    assert serving == {id(program.groups["server"][0])}
