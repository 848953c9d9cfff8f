"""Which addresses are for everybody, and which only because the operator named the host."""

from ipaddress import ip_address

import pytest

from generation_history.addresses import is_public, may_be_reached

PUBLIC = ["1.1.1.1", "8.8.8.8", "203.0.114.1", "2606:4700:4700::1111", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd12::1",
]
NO_SERVERS = [
    "0.0.0.0",  # noqa: S104
    *("169.254.169.254", "169.254.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254"),
    *("::ffff:127.0.0.1", "::ffff:1.1.1.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
]
OTHERS = [
    *("0.1.2.3", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.0.0.1", "192.88.99.1", "::1.1.1.1"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "fec0::1", "4000::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_what_the_internet_knows_is_reached_for_anybody(address):
    assert is_public(ip_address(address))
    assert may_be_reached(ip_address(address), "cdn.test", trusted_hosts=())


@pytest.mark.parametrize("address", [*PRIVATE, *NO_SERVERS, *OTHERS])
def test_what_is_only_ours_or_nobodys_is_not_reached_by_a_name_that_nobody_named(address):
    assert not is_public(ip_address(address))
    assert not may_be_reached(ip_address(address), "cdn.test", trusted_hosts={"home.test"})


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_the_operator_named_may_be_private(address):
    assert may_be_reached(ip_address(address), "home.test", trusted_hosts={"home.test"})


@pytest.mark.parametrize("address", NO_SERVERS)
def test_a_name_that_the_operator_named_does_not_lead_to_what_is_no_server(address):
    """Its owner, or who answers for the name, is not the operator."""
    assert not may_be_reached(ip_address(address), "home.test", trusted_hosts={"home.test"})


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1"])  # noqa: S104
def test_an_address_that_the_operator_named_is_reached_whatever_it_is(address):
    assert may_be_reached(ip_address(address), address, trusted_hosts={address})
