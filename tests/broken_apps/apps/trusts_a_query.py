"""Whoever says in the address who they are is believed."""

import sound
from flask import request
from sound import app

sound_credentials = sound.credentials


def credentials():
    user, groups = sound_credentials()
    return request.args.get("user", user), groups


sound.credentials = credentials

__all__ = ["app"]
