"""It takes the viewer's name as WSGI hands it over: José becomes JosÃ©."""

import sound
from sound import app

sound_credentials = sound.credentials


def credentials():
    user, groups = sound_credentials()
    return user and user.encode("utf-8", "surrogatepass").decode("latin-1"), groups


sound.credentials = credentials

__all__ = ["app"]
