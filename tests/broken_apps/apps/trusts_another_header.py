"""It believes a header that any client can set."""

import sound
from flask import request
from sound import app

sound_credentials = sound.credentials


def credentials():
    user, groups = sound_credentials()
    return request.headers.get("X-Forwarded-User", user), groups


sound.credentials = credentials

__all__ = ["app"]
