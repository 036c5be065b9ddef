from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import courtesy
from signals.courtesy import Decision, DigestRule, QuietHours, Recent, Storm, Wishes

STORM = Storm(group_max=3, type_max=5, minutes=10)
EVERY_DAY = frozenset(range(7))
NIGHT = QuietHours(EVERY_DAY, 22 * 60, 7 * 60)
BERLIN, NEW_YORK, LORD_HOWE, SANTIAGO, APIA, KATHMANDU = map(
    ZoneInfo,
    ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "Asia/Kathmandu"),
)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def decide(now=NOON, *, type_="alert", priority="normal", group="alert:BTC-USD", recent=(0, 0), **wishes) -> Decision:
    return courtesy.decide(Wishes(storm=STORM, **wishes), type_, priority, group, Recent(*recent), now)


def quiet(now: datetime, *hours: QuietHours, zone=UTC):
    return courtesy.quiet_hours(Wishes(storm=STORM, quiet=hours, zone=zone), now)


def test_by_default_everything_is_delivered_at_once():
    assert decide() == Decision(NOON)


def test_what_comes_at_night_waits_for_the_morning():
    assert decide(at("2026-03-02T23:30:00"), quiet=(NIGHT,)).due == at("2026-03-03T07:00:00")
    assert decide(at("2026-03-03T06:59:59"), quiet=(NIGHT,)).due == at("2026-03-03T07:00:00")
    assert decide(at("2026-03-03T07:00:00"), quiet=(NIGHT,)).due == at("2026-03-03T07:00:00")
    assert decide(at("2026-03-02T22:00:00"), quiet=(NIGHT,)).due == at("2026-03-03T07:00:00")


def test_the_night_is_that_of_the_users_own_clocks():
    assert quiet(at("2026-03-02T21:30:00"), NIGHT, zone=BERLIN) == (
        at("2026-03-02T21:00:00"),
        at("2026-03-03T06:00:00"),
    )
    assert quiet(at("2026-03-02T21:30:00"), NIGHT, zone=NEW_YORK) is None
    assert quiet(at("2026-03-02T16:20:00"), NIGHT, zone=KATHMANDU) == (
        at("2026-03-02T16:15:00"),
        at("2026-03-03T01:15:00"),
    )


def test_what_is_critical_breaks_through_unless_its_user_sleeps_deeply():
    night = at("2026-03-02T23:30:00")
    assert decide(night, priority="critical", quiet=(NIGHT,)).due == night
    assert decide(night, priority="high", quiet=(NIGHT,)).due == at("2026-03-03T07:00:00")
    deep = decide(night, priority="critical", quiet=(NIGHT,), critical_breaks_through=False)
    assert deep.due == at("2026-03-03T07:00:00")


def test_quiet_hours_of_certain_days_begin_on_those_days():
    friday_night = QuietHours(frozenset({4}), 22 * 60, 7 * 60)
    assert quiet(at("2026-03-06T23:00:00"), friday_night) == (at("2026-03-06T22:00:00"), at("2026-03-07T07:00:00"))
    assert quiet(at("2026-03-07T06:00:00"), friday_night) == (at("2026-03-06T22:00:00"), at("2026-03-07T07:00:00"))
    assert quiet(at("2026-03-06T06:00:00"), friday_night) is None
    assert quiet(at("2026-03-07T23:00:00"), friday_night) is None


def test_quiet_hours_that_overlap_or_touch_are_one_rest():
    weekend = QuietHours(frozenset({5, 6}), 0, 24 * 60)
    rest = quiet(at("2026-03-07T12:00:00"), NIGHT, weekend)
    assert rest == (at("2026-03-06T22:00:00"), at("2026-03-09T07:00:00"))
    assert quiet(at("2026-03-06T22:00:00"), weekend, NIGHT) == rest


def test_hours_that_fill_the_week_leave_no_rest():
    halves = (QuietHours(EVERY_DAY, 0, 12 * 60), QuietHours(EVERY_DAY, 12 * 60, 24 * 60))
    assert courtesy.never_rests(halves)
    assert courtesy.never_rests((QuietHours(EVERY_DAY, 22 * 60, 21 * 60), QuietHours(EVERY_DAY, 20 * 60, 23 * 60)))
    assert not courtesy.never_rests((*halves[:1], NIGHT))
    assert not courtesy.never_rests(())
    assert quiet(NOON, *halves)[1] > NOON, "and it comes to an end even so"


@pytest.mark.parametrize(
    ("zone", "day", "minute", "last", "moment"),
    [
        (BERLIN, date(2026, 3, 29), 150, False, "2026-03-29T01:00:00"),  # 02:30 is skipped: when it would have been
        (BERLIN, date(2026, 3, 29), 180, False, "2026-03-29T01:00:00"),
        (BERLIN, date(2026, 10, 25), 150, False, "2026-10-25T00:30:00"),  # 02:30 comes twice
        (BERLIN, date(2026, 10, 25), 150, True, "2026-10-25T01:30:00"),
        (NEW_YORK, date(2026, 3, 8), 150, True, "2026-03-08T07:00:00"),
        (LORD_HOWE, date(2026, 10, 4), 135, False, "2026-10-03T15:30:00"),  # half an hour
        (SANTIAGO, date(2026, 9, 6), 0, False, "2026-09-06T04:00:00"),  # midnight itself is skipped
        (APIA, date(2011, 12, 30), 720, False, "2011-12-30T10:00:00"),  # a day that never was
        (BERLIN, date(2026, 3, 28), 24 * 60, False, "2026-03-28T23:00:00"),
    ],
)
def test_times_that_clocks_skip_or_show_twice(zone, day, minute, last, moment):
    assert courtesy.moment(zone, day, minute, last=last) == at(moment)


def test_the_night_of_a_change_is_quiet_from_end_to_end():
    until_half_past_two = QuietHours(EVERY_DAY, 22 * 60, 150)
    assert quiet(at("2026-03-29T00:30:00"), until_half_past_two, zone=BERLIN)[1] == at("2026-03-29T01:00:00")
    # 02:15 shows twice; the second time is as quiet as the first.
    assert quiet(at("2026-10-25T01:15:00"), until_half_past_two, zone=BERLIN)[1] == at("2026-10-25T01:30:00")
    skipped = QuietHours(EVERY_DAY, 125, 175)
    assert quiet(at("2026-03-29T01:00:00"), skipped, zone=BERLIN) is None


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, SANTIAGO, KATHMANDU, UTC]),
    st.integers(0, 365 * 24 * 60),
    st.lists(
        st.builds(QuietHours, st.frozensets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440)),
        max_size=3,
    ).filter(lambda quiet: not courtesy.never_rests(tuple(quiet))),
)
def test_quiet_is_what_the_clock_on_the_wall_says(zone, minute, hours):
    """Against the plainest reading there is; around a change of clocks quiet may be more, never less."""
    now = at("2026-01-01T00:00:00") + timedelta(minutes=minute)
    hours = tuple(one for one in hours if one.start != one.end)
    rest, shown = quiet(now, *hours, zone=zone), _shows_quiet(now, hours, zone)
    assert rest or not shown
    if rest:
        assert shown or _clocks_change(now, zone)
        assert rest[0] <= now < rest[1]
        assert quiet(rest[1], *hours, zone=zone) is None, "the end of a rest is quiet no more"


def _clocks_change(now, zone):
    return len({(now + timedelta(hours=n)).astimezone(zone).utcoffset() for n in (-3, 3)}) == 2


def _shows_quiet(now, hours, zone):
    local = now.astimezone(zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    for one in hours:
        if one.end > one.start:
            if day in one.days and one.start <= minute < one.end:
                return True
        elif (day in one.days and minute >= one.start) or ((day - 1) % 7 in one.days and minute < one.end):
            return True
    return False


def test_what_is_muted_or_too_unimportant_is_not_delivered():
    assert decide(type_="news", muted=frozenset({"news"})).due is None
    assert decide(priority="critical", muted=frozenset({"alert"})).due is None
    least = {"alert": "low", "*": "high"}
    assert decide(priority="low", minimum=least).due == NOON
    assert decide(type_="job", priority="normal", minimum=least).due is None
    assert decide(type_="job", priority="high", minimum=least).due == NOON


def test_beyond_so_many_of_a_group_or_a_type_the_rest_is_summed_up():
    over = NOON + timedelta(minutes=10)
    assert decide(recent=(2, 4)).digest == ""
    assert decide(recent=(3, 3)) == Decision(over, "storm:alert:BTC-USD")
    assert decide(recent=(0, 5)) == Decision(over, "storm:alert")
    assert decide(recent=(3, 3), priority="critical").digest == "storm:alert:BTC-USD", "300 critical ones as well"


def test_one_rest_counts_as_one_moment_of_a_storm():
    wishes = Wishes(storm=STORM, quiet=(NIGHT,))
    night = at("2026-03-03T05:00:00")
    assert courtesy.counted_since(wishes, "normal", night) == at("2026-03-02T22:00:00")
    assert courtesy.counted_since(wishes, "critical", night) == at("2026-03-03T04:50:00")
    assert courtesy.counted_since(wishes, "normal", NOON) == NOON - timedelta(minutes=10)
    assert decide(night, quiet=(NIGHT,), recent=(3, 3)) == Decision(at("2026-03-03T07:00:00"), "storm:alert:BTC-USD")


def test_rules_gather_certain_types_up_to_a_priority():
    hourly = DigestRule(frozenset({"signal"}), "normal", every_minutes=60)
    mornings = DigestRule(frozenset(), "low", at=(8 * 60, 18 * 60))
    rules = (hourly, mornings)
    assert decide(type_="signal", digests=rules) == Decision(NOON + timedelta(hours=1), "rule:0:signal")
    assert decide(type_="signal", priority="high", digests=rules) == Decision(NOON)
    assert decide(type_="job", priority="low", digests=rules) == Decision(at("2026-03-02T18:00:00"), "rule:1:job")
    evening = decide(at("2026-03-02T18:00:00"), type_="job", priority="low", digests=rules)
    assert evening.due == at("2026-03-03T08:00:00")
    everything = DigestRule(frozenset(), "critical", every_minutes=60)
    assert decide(priority="critical", digests=(everything,)).digest == ""
    deep = decide(priority="critical", digests=(everything,), critical_breaks_through=False)
    assert deep.digest == "rule:0:alert"


def test_a_summary_that_is_due_at_night_waits_too_and_is_not_gathered_again():
    hourly = DigestRule(frozenset(), "normal", every_minutes=60)
    gathered = decide(at("2026-03-02T21:30:00"), quiet=(NIGHT,), digests=(hourly,))
    assert gathered.due == at("2026-03-03T07:00:00")
    summary = decide(group=courtesy.DIGEST, recent=(9, 9), digests=(hourly,), quiet=(NIGHT,))
    assert summary == Decision(NOON)


def test_a_daily_summary_comes_at_the_same_time_by_the_clock_all_year():
    rule = DigestRule(at=(8 * 60,))
    assert rule.due(BERLIN, at("2026-03-28T12:00:00")) == at("2026-03-29T06:00:00")
    assert rule.due(BERLIN, at("2026-03-27T12:00:00")) == at("2026-03-28T07:00:00")
    half_past_two = DigestRule(at=(150,))
    assert half_past_two.due(BERLIN, at("2026-03-28T12:00:00")) == at("2026-03-29T01:00:00")


@pytest.mark.parametrize(
    "text", ["", "7:30", "24:01", "25:00", "07:60", "07-30", "07:3", "٠٧:٣٠", "0730", "07:30:00", "²²:00"]
)
def test_what_is_no_time_of_the_day(text):
    with pytest.raises(ValueError):
        courtesy.minute_of_day(text)


def test_stored_wishes_are_read():
    assert courtesy.minute_of_day("24:00") == 1440
    assert courtesy.read_quiet_hours({"days": ["sun", "mon"], "start": "22:00", "end": "07:00"}) == QuietHours(
        frozenset({0, 6}), 1320, 420
    )
    assert courtesy.read_quiet_hours({"start": "00:00", "end": "24:00"}) == QuietHours(EVERY_DAY, 0, 1440)
    assert courtesy.read_digest_rule({"at": ["18:00", "08:00"]}) == DigestRule(at=(480, 1080))
