"""The web process: HTTP by Django, sockets by streaming.

uvicorn project.asgi:application --ws streaming.wire:TapehouseWebSocketProtocol
"""

import os
import warnings

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# WhiteNoise gives files as synchronous iterators. They are small and read in a thread, and not worth a line in the log.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
http = get_asgi_application()

from streaming import routing  # noqa: E402 - the applications have to be loaded

application = ProtocolTypeRouter({"http": http, "websocket": routing.application()})
