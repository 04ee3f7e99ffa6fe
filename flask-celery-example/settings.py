"""What can be set, by environment variables: in development and in production alike."""

import os
import sys


def seconds(name, default):
    text = os.environ.get(name) or default
    try:
        value = float(text)
    except ValueError:
        value = 0
    # neither nought nor "nan" nor "inf"
    if not 0 < value < 1e9:
        sys.exit(f"{name} is a number of seconds above 0, not {text!r}.")
    return value


#: where Redis or Valkey is: redis://, rediss:// (TLS) or redis+socket:// (a Unix socket)
REDIS_URL = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/0"

#: whose greetings these are: a URL of a JSON object; if empty, greetings.json beside this file
GREETINGS_SOURCE = os.environ.get("GREETINGS_SOURCE", "")

#: how often the source is asked for its version
REFRESH_SECONDS = seconds("REFRESH_SECONDS", 300)

#: how long the source may take to send the greetings
SOURCE_SECONDS = seconds("SOURCE_SECONDS", 30)

#: the pause before a refresh that failed is tried again; each further one is twice as long
RETRY_SECONDS = seconds("RETRY_SECONDS", 2)

#: how long a task may be silent before its worker counts as dead, and another gets the task
TASK_SECONDS = seconds("TASK_SECONDS", 120)

scheme, _, rest = REDIS_URL.partition("://")
if scheme not in ("redis", "rediss", "redis+socket"):
    sys.exit(f"REDIS_URL begins with redis://, rediss:// or redis+socket://, not {scheme}.")

# Celery and redis-py spell the same address in two ways
CELERY_URL = CLIENT_URL = REDIS_URL
if scheme == "redis+socket":
    CLIENT_URL = f"unix://{rest}".replace("virtual_host=", "db=")
elif scheme == "rediss" and "ssl_cert_reqs=" not in rest:
    CELERY_URL += ("&" if "?" in rest else "?") + "ssl_cert_reqs=required"
