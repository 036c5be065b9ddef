"""Receivers on loopback that behave as the real ones do: they look at what they are sent, refuse, ask for pauses, hang.

Each answers by its own rules; `then(status, …)` says what the next call is answered instead.
"""

import base64
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import http_ece
import jwt
from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HANG, DRIP = "hang", "drip"


class Call:
    """What came: path, headers (lower-case names), body."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """Takes everything. `calls`: what came."""

    path = "/"

    def __init__(self):
        self.calls, self._answers, self._closing = [], deque(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self):
        return self.base + self.path

    def then(self, status, body=b"", **headers):
        """What the next call is answered. status: HANG and DRIP are answers as well. `_` in a header's name is `-`."""
        self._answers.append((status, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    def answer(self, call):
        """Status, body, headers: the receiver's own rules."""
        return 200, b"ok", {}

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(receiver):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                size = int(self.headers.get("Content-Length", 0))
                call = Call(self.path, {k.lower(): v for k, v in self.headers.items()}, self.rfile.read(size))
                receiver.calls.append(call)
                status, body, headers = receiver._answers.popleft() if receiver._answers else receiver.answer(call)
                if status in (HANG, DRIP):
                    return receiver._never(self, status)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # it has heard enough

            do_GET = do_POST

            def log_message(self, *_):
                pass

        return Handler

    def _never(self, handler, how):
        handler.close_connection = True
        try:
            while not self._closing.wait(0.05):
                if how is DRIP:
                    handler.wfile.write(b"H")
        except OSError:
            pass


class Telegram(Receiver):
    """Its API for one bot that knows one chat."""

    TOKEN, CHAT = "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZ", "4711"

    def answer(self, call):
        if call.path != f"/bot{self.TOKEN}/sendMessage":
            return self.refuse(401, "Unauthorized")
        if call.json["chat_id"] != self.CHAT:
            return self.refuse(400, "Bad Request: chat not found")
        if len(call.json["text"]) > 4096:
            return self.refuse(400, "Bad Request: message is too long")
        return 200, json.dumps({"ok": True, "result": {"message_id": len(self.calls)}}).encode(), {}

    def refuse(self, status, description, **parameters):
        told = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
        return status, json.dumps(told).encode(), {}


class Ntfy(Receiver):
    """A server with one open topic, `prices`, and one that takes a token."""

    TOKEN = "tk_secret"

    def answer(self, call):
        if call.path == "/closed" and call.headers.get("authorization") != f"Bearer {self.TOKEN}":
            return 403, b'{"code":40301,"http":403,"error":"forbidden"}', {}
        if call.path not in ("/prices", "/closed"):
            return 404, b'{"code":40401,"http":404,"error":"page not found"}', {}
        if call.headers["priority"] not in "12345" or len(call.body) > 4096:
            return 400, b'{"code":40007,"http":400,"error":"invalid request"}', {}
        return 200, b'{"id":"x","event":"message"}', {}


class Discord(Receiver):
    """One webhook, with Discord's limits."""

    path = "/api/webhooks/1/token"

    def answer(self, call):
        if call.path != self.path:
            return 404, b'{"message": "Unknown Webhook", "code": 10015}', {}
        (embed,) = call.json["embeds"]
        if len(embed["title"]) > 256 or len(embed["description"]) > 4096 or call.json["allowed_mentions"]["parse"]:
            return 400, b'{"embeds": ["0"]}', {}
        return 204, b"", {}


class Slack(Receiver):
    """One incoming webhook."""

    path = "/services/T0/B0/token"

    def answer(self, call):
        if call.path != self.path:
            return 404, b"no_service", {}
        return (200, b"ok", {}) if 0 < len(call.json["text"]) <= 4000 else (400, b"no_text", {})


class PushService(Receiver):
    """A push service, and the browser behind it: it opens what it gets, and holds the signature to our key."""

    path = "/push/abc"

    def __init__(self):
        super().__init__()
        self._key, self._auth, self.opened = ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef", []
        self.signed_by = None

    @property
    def subscription(self):
        point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        keys = {"p256dh": _text(point), "auth": _text(self._auth)}
        return {"endpoint": self.url, "expirationTime": None, "keys": keys}

    def answer(self, call):
        scheme, _, rest = call.headers["authorization"].partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), base64.urlsafe_b64decode(parts["k"] + "=="))
        claims = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=self.base)
        if scheme != "vapid" or self.signed_by not in (None, parts["k"]) or not claims["sub"]:
            return 403, b"", {}
        if len(call.body) > 4096 or int(call.headers["ttl"]) < 0 or len(call.headers["topic"]) > 32:
            return 413, b"", {}
        self.signed_by = parts["k"]
        self.opened.append(json.loads(http_ece.decrypt(call.body, private_key=self._key, auth_secret=self._auth)))
        return 201, b"", {}


class _AnyPort(Controller):
    """It greets itself once it listens, at the port that it was asked for: here the one that it got."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """A real SMTP server. `refuse`: what a recipient is answered; `letters`: what was taken."""

    def __init__(self):
        self.letters, self.refuse, self.refuse_data = [], {}, None
        self._controller = _AnyPort(self, hostname="127.0.0.1", port=0)
        self._controller.start()

    @property
    def port(self):
        return self._controller.port

    async def handle_RCPT(self, server, session, envelope, address, options):
        if refusal := self.refuse.get(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.refuse_data:
            return self.refuse_data
        self.letters.append(envelope)
        return "250 queued"

    def close(self):
        self._controller.stop()


def _text(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
