import ipaddress

import pytest

from signals.channels.addresses import ForbiddenAddress, allowed, check_address, check_url

STRICT = allowed([], [443, 8443, 80], http=False)
HOUSE = allowed(["ntfy.lan", "gate.lan:8080", "10.1.0.0/16", "127.0.0.1"], [443, 80], http=False)


@pytest.mark.parametrize("url", ["https://example.org/hook?a=b", "https://8.8.8.8:8443/", "https://[2606:4700::1]/x"])
def test_the_public_internet_may_be_called(url):
    check_url(url, STRICT)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https:///x", "https://", "example.org", "javascript:alert(1)",
        "https://user@example.org/", "https://user:password@example.org/", "https://example.org:22/",
        "https://example.org:80/", "https://example.org:99999/", "https://example.org:x/", "https://exa mple.org/",
        "https://example.org/\r\nX: y", "https://good.org\\@127.0.0.1/", "https://exämple.org/",
        "https://localhost/", "https://LOCALHOST./", "https://db/", "https://a.localhost/", "https://printer.local/",
        "https://metadata.google.internal/", "https://127.0.0.1/", "https://127.1/", "https://2130706433/",
        "https://0x7f.0.0.1/", "https://0x7f000001/", "https://017700000001/", "https://0.0.0.0/", "https://10.0.0.1/",
        "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/", "https://168.63.129.16/", "https://224.0.0.1/", "https://255.255.255.255/",
        "https://198.18.0.1/", "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:169.254.169.254]/", "https://[::ffff:a00:1]/", "https://[::127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/", "https://[2001:0:1::]/",
        "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/", "https://[fd00:ec2::254]/",
        "https://[fec0::1]/", "https://[ff02::1]/", "https://" + "a" * 2000 + ".org/",
    ],
)  # fmt: skip
def test_nothing_else_may(url):
    with pytest.raises(ForbiddenAddress):
        check_url(url, STRICT)


@pytest.mark.parametrize(
    "url",
    ["http://ntfy.lan/", "http://NTFY.lan:2586/", "http://gate.lan:8080/", "http://10.1.2.3:9/", "http://127.0.0.1/"],
)
def test_what_the_installation_allows_may_be_called_as_it_is(url):
    check_url(url, HOUSE)


@pytest.mark.parametrize("url", ["http://gate.lan:81/", "https://gate.lan/", "https://10.2.0.1/", "https://127.0.0.2/"])
def test_and_nothing_beside_it(url):
    with pytest.raises(ForbiddenAddress):
        check_url(url, HOUSE)


def test_an_address_in_an_allowed_network_is_found_in_its_wrapping_too():
    check_address(ipaddress.ip_address("::ffff:10.1.0.9"), HOUSE)
    with pytest.raises(ForbiddenAddress):
        check_address(ipaddress.ip_address("::ffff:10.2.0.9"), HOUSE)


def test_unencrypted_calls_are_the_installations_choice():
    check_url("http://example.org/", allowed([], [80], http=True))
    with pytest.raises(ForbiddenAddress):
        check_url("http://10.0.0.1/", allowed([], [80], http=True))
