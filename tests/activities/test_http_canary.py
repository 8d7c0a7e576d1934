"""What HTTP tasks must not reach: a server on this machine that nobody is to ask."""

# ruff: noqa: RUF001 - the characters that look like others are what is tested

import httpcore
import pytest

from flowmgr.http.addresses import AllowList
from flowmgr.http.network import GuardedNetwork
from tests.activities.helpers import Names, failure, runner
from tests.support.answering import answering, message

pytestmark = pytest.mark.anyio

LOOPBACK = [
    *["127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001"],
    *["0x7f.1", "0x7f.0x0.0x0.0x1", "0X7F000001", "017700000001", "0177.1", "0177.0.1", "127.0x1"],
    *["127.0.0x0.1", "0", "0.0.0.0", "0x0", "00", "0.0", "0.1", "localhost", "LOCALHOST"],
    *["localhost.", "LocalHost.", "127。0。0。1", "127．0．0．1", "127｡1"],
    *["[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"],
    *["[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]"],
    *["[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[::1%25lo]", "[::1%lo]"],
    *["[2606:4700::5efe:7f00:1]", "rebound.test", "mapped.test", "both.test"],
]
PRIVATE = [
    *["10.0.0.1", "10.1", "0xa000001", "167772161", "012.0.0.1", "172.16.0.1", "172.31.255.255"],
    *["192.168.0.1", "192.168.1", "3232235521", "100.64.0.1", "100.127.255.254", "[fc00::1]"],
    *["[fd12:3456::1]", "[fec0::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]"],
    *["private.test", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]"],
    *["224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "[ff02::1]", "192.88.99.1"],
]
METADATA = [
    *["169.254.169.254", "169.254.1", "2852039166", "0xa9fea9fe", "0251.0376.169.254"],
    *["[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "169.254.170.2"],
    *["[fd00:ec2::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16", "[fe80::1]"],
    *["[fe80::1%25lo]", "[fe80::a9fe:a9fe]", "metadata.test"],
]
UNREADABLE = [
    *["１２７.0.0.1", "①②⑦.0.0.1", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "%31%32%37.0.0.1", "user@127.0.0.1"],
    *["user:secret@127.0.0.1", "x\\@127.0.0.1", "0177.0.0.1", "127.0.0.1%2f", "[v1.127]"],
    *["127.0.0.1%00.test", "127.0.0.1 .test", "localhost%E3%80%82"],
]
FORMS = [*LOOPBACK, *PRIVATE, *METADATA, *UNREADABLE]
REFUSED = {"HttpAddressRefused", "HttpConnectError", "HttpRequestError", "HttpRedirectError"}


def names():
    return Names(
        rebound_test=["127.0.0.1"],
        mapped_test=["::ffff:127.0.0.1"],
        both_test=[["93.184.216.34", "127.0.0.1"]],
        private_test=["10.0.0.1"],
        metadata_test=["169.254.169.254"],
        front_test=["127.0.0.1"],
    )


class NoDial(httpcore.AsyncNetworkBackend):
    """Records what it should connect to, and never does."""

    def __init__(self):
        self.dialled = []

    async def connect_tcp(self, host, port, *_, **__):
        self.dialled.append(host)
        raise httpcore.ConnectError("nobody is there")


def test_there_are_many_forms():
    assert len(set(FORMS)) >= 100


async def test_no_form_of_an_address_reaches_the_canary():
    dial = NoDial()
    async with answering(message(body=b"canary")) as canary:
        for form in FORMS:
            info = await failure(runner(allow=(), lookup=names()), f"http://{form}:{canary.port}/")
            assert info.type in REFUSED, (form, info)
            assert "secret" not in info.message
            # Nor would any other server: what is refused is not dialled.
            await failure(runner(allow=(), lookup=names(), dial=dial), f"http://{form}:1/")
        assert canary.connections == 0
    assert dial.dialled == []


async def test_all_that_resolves_is_refused_by_the_rule_and_not_by_chance():
    found = [
        await failure(runner(allow=(), lookup=names()), f"http://{form}:1/")
        for form in [*LOOPBACK, *PRIVATE, *METADATA]
    ]
    refused = [info for info in found if info.type == "HttpAddressRefused"]
    # Some spellings are no URL, and a zone may be one that this machine does not have.
    assert len(refused) >= 80
    assert not any(info.retryable for info in refused)
    assert all("http_allow" in info.message for info in refused)


async def test_no_redirect_leads_to_the_canary():
    async with answering(message(body=b"canary")) as canary:

        async def lead(_, request, stream):
            form = FORMS[int(request.split()[1][1:])].encode()
            head = b"HTTP/1.1 302 X\r\ncontent-length: 0\r\nlocation: http://"
            await stream.send(head + form + b":%d/\r\n\r\n" % canary.port)

        async with answering(lead) as front:
            for number, form in enumerate(FORMS):
                info = await failure(
                    runner(allow=("front.test",), lookup=names()),
                    front.url(f"/{number}", "front.test"),
                    follow_redirects=True,
                )
                assert info.type in {*REFUSED, "HttpTransferError"}, (form, info)
                assert "secret" not in info.message
            assert front.connections == len(FORMS)
        assert canary.connections == 0


async def test_a_redirect_within_the_allowed_host_is_judged_by_the_host_it_leads_to():
    async with answering(message(body=b"canary")) as canary:
        location = ("location", f"http://127.0.0.1:{canary.port}/")
        async with answering(message(307, b"", "", location)) as front:
            of = runner(allow=("front.test",), lookup=names())
            info = await failure(of, front.url("/", "front.test"), follow_redirects=True)
        assert info.type == "HttpAddressRefused"
        assert canary.connections == 0


async def test_a_name_that_resolves_differently_the_second_time_gains_nothing():
    dial = NoDial()
    async with answering(message(body=b"canary")) as canary:
        lookup = Names(rebinding_test=["93.184.216.34", "127.0.0.1"])
        of = runner(allow=(), lookup=lookup, dial=dial)
        first = await failure(of, canary.url("/", "rebinding.test"))
        assert (first.type, dial.dialled) == ("HttpConnectError", ["93.184.216.34"])
        assert lookup.asked == ["rebinding.test"]
        second = await failure(of, canary.url("/", "rebinding.test"))
        assert (second.type, dial.dialled) == ("HttpAddressRefused", ["93.184.216.34"])
        assert canary.connections == 0


async def test_a_name_that_changes_between_two_hops_is_judged_again():
    async with answering(message(body=b"canary")) as canary:
        lookup = Names(turning_test=["127.0.0.1", "127.0.0.2"])
        location = ("location", f"http://turning.test:{canary.port}/")
        async with answering(message(302, b"", "", location)) as front:
            of = runner(allow=("127.0.0.1",), lookup=lookup)
            info = await failure(of, front.url("/", "turning.test"), follow_redirects=True)
        assert info.type == "HttpAddressRefused"
        assert lookup.asked == ["turning.test", "turning.test"]
        assert canary.connections == 0


async def test_every_address_is_tried_in_turn():
    dial = NoDial()
    lookup = Names(two_test=[["93.184.216.34", "2606:4700::1"]])
    info = await failure(runner(allow=(), lookup=lookup, dial=dial), "https://two.test/")
    assert info.type == "HttpConnectError"
    assert dial.dialled == ["93.184.216.34", "2606:4700::1"]


async def test_sockets_of_the_machine_cannot_be_connected_to():
    network = GuardedNetwork(AllowList("*"), names(), NoDial())
    with pytest.raises(httpcore.ConnectError):
        await network.connect_unix_socket("/run/docker.sock")
