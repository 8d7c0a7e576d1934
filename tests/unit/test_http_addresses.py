"""Which addresses HTTP tasks may connect to, and what operators can allow."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmgr.errors import InputError
from flowmgr.http.addresses import AllowList, refused_as
from flowmgr.settings import Settings

PUBLIC = [
    *["1.1.1.1", "8.8.8.8", "93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255"],
    *["100.128.0.0", "126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0"],
    *["169.253.255.255", "169.255.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255"],
    *["2606:4700::1111", "2a00:1450::1", "2003::1", "2001:4860:4860::8888", "3ffe::1"],
    *["::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::5efe:808:808"],
]

REFUSED = [
    *[("0.0.0.0", "this machine"), ("0.1.2.3", "this machine"), ("127.0.0.1", "loopback")],
    *[("127.255.255.255", "loopback"), ("10.0.0.1", "private"), ("172.16.0.1", "private")],
    *[("172.31.255.255", "private"), ("192.168.255.255", "private"), ("100.64.0.0", "shared")],
    *[("100.100.100.200", "shared"), ("100.127.255.255", "shared")],
    *[("169.254.169.254", "metadata"), ("168.63.129.16", "metadata"), ("192.0.0.192", "reserved")],
    *[("192.0.2.1", "documentation"), ("198.51.100.1", "documentation")],
    *[("203.0.113.1", "documentation"), ("198.18.0.1", "benchmarks"), ("198.19.0.1", "benchmarks")],
    *[("224.0.0.1", "multicast"), ("239.255.255.255", "multicast"), ("240.0.0.1", "reserved")],
    *[("255.255.255.255", "reserved"), ("192.88.99.1", "6to4")],
    *[("::", "this machine"), ("::1", "loopback"), ("::7f00:1", "compatible")],
    *[("::ffff:127.0.0.1", "loopback"), ("::ffff:169.254.169.254", "metadata")],
    *[("::ffff:0:7f00:1", "translated"), ("64:ff9b::a9fe:a9fe", "metadata")],
    *[("64:ff9b::7f00:1", "loopback"), ("64:ff9b:1::7f00:1", "local NAT64"), ("100::1", "routers")],
    *[("2001::1", "Teredo"), ("2001:0:7f00:1::", "Teredo"), ("2001:2::1", "benchmarks")],
    *[("2001:10::1", "reserved"), ("2001:db8::1", "documentation"), ("3fff::1", "documentation")],
    *[("2002:7f00:1::", "6to4"), ("2002:808:808::", "6to4"), ("fc00::1", "private")],
    *[("fd00:ec2::254", "private"), ("fe80::1", "link-local"), ("fe80::1%eth0", "link-local")],
    *[("fec0::1", "site-local"), ("ff02::1", "multicast"), ("5f00::1", "segments")],
    *[("4000::1", "reserved"), ("2606:4700::1%eth0", "reserved")],
    *[("2606:4700::5efe:7f00:1", "ISATAP"), ("2606:4700::200:5efe:7f00:1", "ISATAP")],
]

ADDRESSES = st.ip_addresses()
V4 = st.ip_addresses(v=4)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_public_internet_may_be_connected_to(address):
    assert refused_as(ip_address(address)) is None


@pytest.mark.parametrize(("address", "rule"), REFUSED)
def test_other_addresses_are_refused_by_a_named_rule(address, rule):
    assert rule in refused_as(ip_address(address))


@given(V4)
def test_an_ipv4_address_is_judged_alike_however_it_is_written_inside_ipv6(address):
    inside = int(address)
    mapped = IPv6Address(0xFFFF_0000_0000 | inside)
    nat64 = IPv6Address((0x64_FF9B << 96) | inside)
    assert refused_as(mapped) == refused_as(address)
    assert (refused_as(nat64) is None) == (refused_as(address) is None)
    assert refused_as(IPv6Address((0x2002 << 112) | (inside << 80)))
    assert refused_as(IPv6Address(inside))


@given(ADDRESSES)
def test_what_python_knows_not_to_be_global_is_refused(address):
    # The registry has been amended since by what is reachable: 192.0.0.9, 192.0.0.10 and the like.
    mapped = getattr(address, "ipv4_mapped", None)
    if not (mapped or address).is_global:
        assert refused_as(address)


@given(ADDRESSES, st.integers(0, 32))
def test_a_network_that_is_allowed_allows_what_is_in_it_and_nothing_else(address, length):
    network = ip_network((address, length), strict=False)
    other = IPv4Address("127.0.0.1")
    allow = AllowList([str(network)])
    assert allow.refusal("host", address) is None
    if other not in network:
        assert allow.refusal("host", other)


def test_a_mapped_address_is_allowed_with_the_address_inside():
    allow = AllowList(["127.0.0.1/32"])
    assert allow.refusal("host", IPv6Address("::ffff:127.0.0.1")) is None
    assert allow.refusal("host", IPv6Address("::ffff:127.0.0.2"))
    assert allow.refusal("host", IPv6Address("64:ff9b::7f00:1"))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
def test_a_host_is_allowed_by_its_name_and_no_other(host):
    allow = AllowList(["LocalHost."])
    assert allow.refusal(host, IPv4Address("127.0.0.1")) is None
    assert allow.refusal("a.localhost", IPv4Address("127.0.0.1"))
    assert allow.refusal("127.0.0.1", IPv4Address("127.0.0.1"))


def test_a_host_may_be_named_in_its_own_script():
    allow = AllowList(["bücher.example"])
    assert allow.refusal("xn--bcher-kva.example", IPv4Address("10.0.0.1")) is None


@given(ADDRESSES)
def test_a_star_allows_everything(address):
    assert AllowList(["*"]).refusal("host", address) is None


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("127.1", "as four"),
        ("2130706433", "as four"),
        ("0x7f000001", "as four"),
        ("127.0.0.256", "as four"),
        ("localhost:80", "port"),
        ("[::1]", "neither"),
        ("http://localhost", "neither"),
        ("10.0.0.0/33", "neither"),
        ("", "no name"),
        ("*.example.com", "no name"),
        ("a..b", "no name"),
        ("a b", "no name"),
        ("-a.example", "no name"),
        ("ü" * 70, "no name"),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused_by_name(entry, why):
    with pytest.raises(InputError, match="http_allow") as caught:
        Settings(http_allow=(entry,)).checked()
    assert repr(entry) in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        {"http_timeout": 0},
        {"http_timeout": 3601},
        {"http_max_bytes": 0},
        {"http_connections": 0},
        {"http_allow": "localhost"},
    ],
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        Settings(**setting).checked()
