"""A header that is not JSON is a 500."""

import json

import sound
from flask import request
from sound import HEADER, app

sound_credentials = sound.credentials


def credentials():
    if HEADER in request.headers:
        json.loads(request.headers[HEADER].encode("latin-1"))
    return sound_credentials()


sound.credentials = credentials

__all__ = ["app"]
