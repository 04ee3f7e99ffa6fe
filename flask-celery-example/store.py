"""The greetings in Redis. They can be read at any time, and are replaced in one step."""

from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import settings

#: a hash: each text by its language
GREETINGS = "greetings"
#: a hash: the version of the greetings, and the source that they are from
ABOUT = "greetings:about"
#: the id of the task that is at work on them
RUNNING = "greetings:running"

#: how many greetings are written at a time
BATCH = 500

#: Redis cannot be reached
AWAY = (redis.ConnectionError, redis.TimeoutError)

client = redis.Redis.from_url(
    settings.CLIENT_URL,
    decode_responses=True,
    socket_timeout=2,
    # the connection at hand may be one that Redis closed: another is tried, at once
    retry=Retry(NoBackoff(), 1),
)


def everything():
    """Every text by its language; empty before the first refresh."""
    return client.hgetall(GREETINGS)


def one(lang):
    """The text in this language, or None."""
    return client.hget(GREETINGS, lang)


def is_empty():
    return not client.exists(GREETINGS)


def about():
    """Version and source of the greetings; empty before the first refresh."""
    return client.hgetall(ABOUT)


def replace(texts, about, instead_of, progress):
    """Put these greetings in the place of others; False if those are not there any more.

    They are written beside the others, and then take their name, so no reader sees some of each.
    """
    beside = f"{GREETINGS}:{uuid4()}"
    items = list(texts.items())
    for start in range(0, len(items), BATCH):
        batch = dict(items[start : start + BATCH])
        with client.pipeline() as pipe:
            pipe.hset(beside, mapping=batch)
            # Redis removes what a refresh leaves behind that does not come to its end
            pipe.expire(beside, 600)
            pipe.execute()
        progress(start + len(batch), len(items))
    with client.pipeline() as pipe:
        try:
            pipe.watch(ABOUT)
            if pipe.hgetall(ABOUT) != instead_of:
                return False
            pipe.multi()
            pipe.rename(beside, GREETINGS)
            pipe.persist(GREETINGS)
            pipe.delete(ABOUT)
            pipe.hset(ABOUT, mapping=about)
            pipe.execute()
        except redis.WatchError:
            return False
    return True


def claim(task_id):
    """Say that this task is at work, until it is released or silent for too long.

    The id of the task that is at work: this one, or another that came before it.
    """
    seconds = int(settings.TASK_SECONDS) + 1
    if not client.set(RUNNING, task_id, nx=True, ex=seconds):
        running = client.get(RUNNING)
        if running != task_id:
            return running or claim(task_id)
        client.expire(RUNNING, seconds)
    return task_id


def release(task_id):
    """Say that this task is at its end."""
    with client.pipeline() as pipe:
        try:
            pipe.watch(RUNNING)
            if pipe.get(RUNNING) == task_id:
                pipe.multi()
                pipe.delete(RUNNING)
                pipe.execute()
        except redis.WatchError:
            pass  # it was silent for too long, and another has begun
