"""The same small API in Django, and with Channels for its WebSocket."""

# mypy: ignore-errors
# (Django is not in the environment of the type checker)

import json

from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import JsonResponse
from django.urls import path, reverse

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no use",
    USE_X_FORWARDED_HOST=False,
)


def item(request, number):
    link = request.build_absolute_uri(reverse("item", args=[4]))
    return JsonResponse({"item": number, "url": request.build_absolute_uri(), "link": link})


def folder(_request):
    return JsonResponse({})


class Socket(WebsocketConsumer):
    def receive(self, text_data):
        self.send(json.dumps({"said": text_data}))
        self.close()


urlpatterns = [path("item/<int:number>", item, name="item"), path("folder/", folder)]

http = get_asgi_application()

app = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("socket", Socket.as_asgi())])})
