"""Progress of long work, and who may see it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from worker import jobs
from worker.models import Job

pytestmark = pytest.mark.django_db


def test_a_job_moves_on_to_its_end(alice):
    job = jobs.start("ingestion.force_update", 3, alice)
    assert job.advance(1, "BTC-USDT")
    assert (job.done, job.message, job.status) == (1, "BTC-USDT", "running")
    assert job.finish("all fresh")
    assert (job.done, job.message, job.status) == (3, "all fresh", "done")
    assert job.finished_at is not None


def test_after_its_end_nothing_moves_it():
    job = jobs.start("ingestion.backfill", None)
    assert job.fail("the venue answers no more")
    assert not job.advance(5)
    assert not job.finish()
    assert not job.cancel()
    assert (job.done, job.status, job.message) == (0, "failed", "the venue answers no more")


def test_a_cancelled_job_tells_its_worker_at_the_next_step():
    job = jobs.start("ingestion.backfill", 10)
    Job.objects.get(pk=job.pk).cancel("not needed any more")
    assert not job.advance(1)
    assert job.status == "cancelled"


def test_a_silent_job_is_abandoned_and_an_old_one_forgotten(settings):
    now = timezone.now()
    silent, lively, old = (jobs.start("kind", 1) for _ in range(3))
    old.finish()
    Job.objects.filter(pk=silent.pk).update(updated_at=now - timedelta(seconds=settings.JOB_SILENCE_TIMEOUT_S + 1))
    Job.objects.filter(pk=old.pk).update(finished_at=now - timedelta(days=settings.JOB_KEEP_DAYS + 1))
    assert jobs.abandon_silent(now) == 1
    assert jobs.forget_old(now) == 1
    assert {job.pk: job.status for job in Job.objects.all()} == {silent.pk: "failed", lively.pk: "running"}


def test_its_owner_and_staff_see_a_job_and_bob_does_not(client, alice, bob, admin):
    path = f"/api/jobs/{jobs.start('ingestion.force_update', 3, alice).pk}/"
    assert client.get(path).status_code == 403
    for user, status in [(alice, 200), (admin, 200), (bob, 404)]:
        client.force_login(user)
        assert client.get(path).status_code == status
    client.force_login(alice)
    shown = client.get(path).json()
    assert (shown["kind"], shown["status"], shown["total"], shown["done"]) == (
        "ingestion.force_update",
        "running",
        3,
        0,
    )


def test_the_list_is_ones_own_in_pages(client, alice, bob):
    mine = [jobs.start("kind", 1, alice).pk for _ in range(5)]
    jobs.start("kind", 1, bob)
    jobs.start("kind", 1)
    client.force_login(alice)
    page = client.get("/api/jobs/?limit=3").json()
    assert [job["id"] for job in page["results"]] == mine[:1:-1]
    jobs.start("kind", 1, alice)  # what arrives meanwhile neither repeats nor hides one
    page = client.get(page["next"]).json()
    assert [job["id"] for job in page["results"]] == [mine[1], mine[0]]
    assert page["next"] is None


def test_a_page_has_an_upper_bound(client, alice, settings):
    settings.API_PAGE_SIZE_MAX = 2
    for _ in range(3):
        jobs.start("kind", 1, alice)
    client.force_login(alice)
    assert len(client.get("/api/jobs/?limit=999999").json()["results"]) == 2


def test_the_admin_shows_jobs_and_cancels_them(client, admin, alice):
    job = jobs.start("ingestion.backfill", 3, alice)
    client.force_login(admin)
    assert client.get("/admin/worker/job/").status_code == 200
    assert client.get("/admin/worker/job/add/").status_code == 403
    answer = client.post("/admin/worker/job/", {"action": "cancel", "_selected_action": [job.pk]}, follow=True)
    assert "1 cancelled" in answer.content.decode()
    assert not job.advance(1)
