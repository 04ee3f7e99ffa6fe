"""A viewer whose groups are null, or missing, is a 500."""

import json

import sound
from flask import request
from sound import HEADER, app

sound_credentials = sound.credentials


def credentials():
    user, groups = sound_credentials()
    if user:
        groups = list(json.loads(request.headers[HEADER].encode("latin-1"))["groups"])
    return user, groups


sound.credentials = credentials

__all__ = ["app"]
