"""Sending what a channel has built: one call, with bounds, and without telling its secrets to any log."""

import logging
import smtplib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import requests
import urllib3
from django.conf import settings
from django.core import mail as django_mail

from signals import guard, vapid
from signals.channels.shapes import Answer, Mail, Push, Request

CHUNK_BYTES: Final = 16 * 1024
HEADERS: Final = {
    "User-Agent": "Tapehouse",
    # What is compressed could be a bomb.
    "Accept-Encoding": "identity",
}
# SMTP's refusals of an address itself; its others are about us, or about one letter.
_NO_MAILBOX: Final = frozenset({550, 551, 553})


class Unsent(Exception):
    """No answer. The sentence says why."""


def send(prepared: Request | Push | Mail) -> Answer:
    """Send it. Raises Unsent, `addresses.ForbiddenAddress`, and ValueError for what can't be sent at all."""
    if isinstance(prepared, Mail):
        return _mail(prepared)
    if isinstance(prepared, Push):
        prepared = vapid.request(prepared, int(time.time()))
    return _post(prepared)


# --- HTTP -----------------------------------------------------------------------------------------------------


def _post(request: Request) -> Answer:
    """An exception of the HTTP library's carries the address, and with it often a password: it ends here."""
    failure = ""
    try:
        with _hidden(urlsplit(request.url).path):
            with _session(not request.ours).post(
                request.url,
                data=request.body,
                headers={**HEADERS, **request.headers},
                timeout=(settings.DELIVERY_CONNECT_TIMEOUT_S, settings.DELIVERY_READ_TIMEOUT_S),
                stream=True,
                # It would go to wherever somebody else points.
                allow_redirects=False,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, headers, _beginning(response))
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        failure = "no answer in time"
    except requests.exceptions.SSLError as error:
        doubted = "CERTIFICATE_VERIFY_FAILED" in repr(error)
        failure = "its certificate does not hold" if doubted else "no secure connection"
    except requests.ConnectionError as error:
        named = "NameResolutionError" in repr(error)
        failure = "its name is not known" if named else "no connection"
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        failure = type(error).__name__
    raise Unsent(failure)


def _beginning(response: requests.Response) -> bytes:
    """How the body begins. The status has decided: nobody waits for the rest, and no failure in it changes anything."""
    until = time.monotonic() + settings.DELIVERY_READ_TIMEOUT_S
    most, body = settings.DELIVERY_ANSWER_MAX_BYTES, b""
    try:
        # `iter_content` would wait for a whole chunk, however slowly it drips.
        while len(body) < most and time.monotonic() < until and (chunk := response.raw.read1(CHUNK_BYTES)):
            body += chunk
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    return body[:most]


_local: Final = threading.local()


def _session(guarded: bool) -> requests.Session:
    """This thread's: a session of `requests` is not safe in several at once."""
    sessions: dict[bool, requests.Session] = _local.__dict__.setdefault("sessions", {})
    if guarded not in sessions:
        sessions[guarded] = guard.session(guarded)
    return sessions[guarded]


def close() -> None:
    """Close this thread's connections."""
    for found in _local.__dict__.pop("sessions", {}).values():
        found.close()


@contextmanager
def _hidden(path: str) -> Iterator[None]:
    _local.path = path
    try:
        yield
    finally:
        del _local.path


class _HidePaths(logging.Filter):
    """urllib3 logs the addresses that it calls; a webhook's path is its password."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(_local, "path", "")
        if len(path) > 1:
            record.msg, record.args = record.getMessage().replace(path, "/***"), None
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_HidePaths())


# --- Mail -----------------------------------------------------------------------------------------------------


def _mail(letter: Mail) -> Answer:
    """Hand the letter to the mail server; its codes as those of HTTP, which say the same."""
    message = django_mail.EmailMultiAlternatives(letter.subject, letter.text, None, [letter.to], headers=letter.headers)
    message.attach_alternative(letter.html, "text/html")
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        return _refused(code, said, mailbox=True)
    except smtplib.SMTPAuthenticationError as error:
        raise Unsent(f"the mail server does not let us in: {error.smtp_code}") from None
    except smtplib.SMTPDataError as error:
        return _refused(error.smtp_code, error.smtp_error, mailbox=False)
    except smtplib.SMTPResponseException as error:
        raise Unsent(f"the mail server says {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise Unsent(f"the mail server: {type(error).__name__}") from None
    return Answer(200, {}, b"")


def _refused(code: int, said: bytes | str, mailbox: bool) -> Answer:
    body = said if isinstance(said, bytes) else said.encode(errors="replace")
    # 5.7.x: a policy, as of one who does not relay for us; the mailbox may well be there.
    policy = body.startswith(b"5.7.")
    for_good = 410 if mailbox and code in _NO_MAILBOX and not policy else 422
    return Answer(for_good if code >= 500 else 503, {}, b"%d " % code + body)
