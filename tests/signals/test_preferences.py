import threading
from datetime import UTC, datetime

import pytest
import time_machine
from django.db import connections
from django.test import Client

from signals.models import NotificationPreferences

PATH = "/api/notifications/preferences/"
DEFAULTS = {
    "time_zone": "UTC", "quiet_hours": [], "critical_breaks_through": True, "digests": [], "minimum_priority": {},
    "muted_types": [], "storm_max": None, "storm_type_max": None, "storm_minutes": None, "quiet_until": None,
}  # fmt: skip
NIGHT = {"start": "22:00", "end": "07:00"}


@pytest.fixture
def http(alice, client):
    client.force_login(alice)

    def call(method, body=None):
        return getattr(client, method)(PATH, body, content_type="application/json")

    return call


def test_defaults_need_no_row(http):
    assert http("get").json() == DEFAULTS
    assert not NotificationPreferences.objects.exists()


def test_what_is_put_is_there_and_the_rest_is_default_again(http):
    wishes = {
        "time_zone": "Europe/Berlin",
        "quiet_hours": [NIGHT, {"days": ["sat", "sun"], "start": "00:00", "end": "24:00"}],
        "digests": [{"types": ["news"], "up_to": "low", "at": ["08:00"]}, {"every_minutes": 60}],
        "minimum_priority": {"job": "high", "*": "low"},
        "muted_types": ["system"],
        "storm_max": 2,
    }
    answer = http("put", wishes)
    told = {
        **DEFAULTS,
        **wishes,
        "digests": [wishes["digests"][0], {"types": [], "up_to": "normal", "every_minutes": 60}],
    }
    assert answer.status_code == 200, answer.json()
    assert answer.json() | {"quiet_until": None} == told == http("get").json() | {"quiet_until": None}
    assert http("patch", {"storm_max": None, "critical_breaks_through": False}).json()["time_zone"] == "Europe/Berlin"
    assert http("put", {"muted_types": ["b", "a", "b"]}).json() == DEFAULTS | {"muted_types": ["a", "b"]}


def test_it_says_until_when_it_is_quiet(http):
    with time_machine.travel(datetime(2026, 3, 2, 5, tzinfo=UTC)):
        asleep = http("put", {"quiet_hours": [NIGHT], "time_zone": "Europe/Berlin"}).json()
        assert asleep["quiet_until"] == "2026-03-02T06:00:00Z"
    with time_machine.travel(datetime(2026, 3, 2, 6, tzinfo=UTC)):
        assert http("get").json()["quiet_until"] is None


def test_what_it_answers_may_be_put_back(http):
    http("put", {"quiet_hours": [NIGHT], "digests": [{"at": ["24:00"]}]})
    told = http("get").json()
    told.pop("quiet_until")
    assert http("put", told).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_tabs_that_save_at_once_keep_each_others(alice, client):
    client.force_login(alice)
    cookies, codes = client.cookies, []

    def save(body):
        tab = Client()
        tab.cookies = cookies
        codes.append(tab.patch(PATH, body, content_type="application/json").status_code)
        connections.close_all()

    bodies = ({"storm_max": 7}, {"muted_types": ["news"]}, {"time_zone": "Asia/Tokyo"}, {"storm_minutes": 3})
    tabs = [threading.Thread(target=save, args=(body,)) for body in bodies]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert codes == [200] * 4
    told = client.get(PATH).json()
    assert all(told[name] == value for body in bodies for name, value in body.items())


def test_staff_look_at_them(admin, client):
    client.force_login(admin)
    NotificationPreferences.objects.create(user=admin)
    for page in ("notificationpreferences/", f"notificationpreferences/{admin.pk}/change/", "digest/", "notification/"):
        assert client.get(f"/admin/signals/{page}").status_code == 200


def test_everybody_has_their_own(http, bob, client):
    http("put", {"muted_types": ["alert"]})
    client.force_login(bob)
    assert client.get(PATH).json() == DEFAULTS


@pytest.mark.parametrize(
    "field",
    [
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "America"},
        {"time_zone": ""},
        {"time_zone": "Europe/Berlin\0"},
        {"time_zone": 7},
        {"quiet_hours": {}},
        {"quiet_hours": [7]},
        {"quiet_hours": [{"start": "22:00"}]},
        {"quiet_hours": [{"start": "22:00", "end": "7"}]},
        {"quiet_hours": [{"start": "22:00", "end": "22:00"}]},
        {"quiet_hours": [{"start": "24:00", "end": "07:00"}]},
        {"quiet_hours": [NIGHT | {"days": []}]},
        {"quiet_hours": [NIGHT | {"days": ["monday"]}]},
        {"quiet_hours": [NIGHT | {"zone": "UTC"}]},
        {"quiet_hours": [{"start": "00:00", "end": "24:00"}]},
        {"quiet_hours": [NIGHT, {"start": "07:00", "end": "22:00"}]},
        {"quiet_hours": [NIGHT] * 21},
        {"digests": [{}]},
        {"digests": [{"every_minutes": 60, "at": ["08:00"]}]},
        {"digests": [{"every_minutes": 0}]},
        {"digests": [{"at": []}]},
        {"digests": [{"at": ["08:00"], "up_to": "urgent"}]},
        {"digests": [{"at": ["08:00"], "types": ["No Type"]}]},
        {"minimum_priority": {"alert": "urgent"}},
        {"minimum_priority": {"": "low"}},
        {"minimum_priority": {f"t{n}": "low" for n in range(51)}},
        {"minimum_priority": []},
        {"muted_types": ["*"]},
        {"muted_types": "alert"},
        {"storm_max": 0},
        {"storm_max": True},
        {"storm_minutes": 1441},
        {"storm_type_max": "many"},
        {"critical_breaks_through": "perhaps"},
        {"critical_breaks_through": None},
        {"quiet": []},
        {"quiet_until": None},
    ],
    ids=str,
)
def test_what_cannot_be_wished_is_refused_and_named(http, field):
    body = str(field).replace("'", '"').replace("True", "true").replace("None", "null").replace("\\x00", "\\u0000")
    for method in ("put", "patch"):
        answer = http(method, body)
        assert (answer.status_code, list(answer.json())) == (400, list(field))
    assert not NotificationPreferences.objects.exists()


@pytest.mark.parametrize("body", ["[]", "7", "null", "{", '{"time_zone": NaN}', '{"storm_max": 1e400}'])
def test_what_is_no_object_is_refused(http, body):
    assert http("put", body).status_code == 400
