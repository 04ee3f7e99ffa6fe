"""The work in the background: a Celery app, its one task, and its schedule."""

from uuid import uuid4

from celery import Celery
from celery.signals import worker_init
from redis.backoff import ConstantBackoff
from redis.retry import Retry

import settings
import store
from source import SourceError
from update import update

#: the state of a task that no worker has begun
QUEUED = "QUEUED"
PROGRESS = "PROGRESS"

celery = Celery("greetings", broker=settings.CELERY_URL, backend=settings.CELERY_URL)
celery.conf.update(
    # others may use the same Redis for tasks of theirs
    task_default_queue="greetings:tasks",
    task_track_started=True,
    # a task is not done with before it is done, so that another worker gets it if this one dies
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_transport_options={
        "visibility_timeout": settings.TASK_SECONDS,
        # how often it is looked for tasks of workers that died
        "unacked_restore_interval": settings.TASK_SECONDS / 4,
        "unacked_restore_throttle": 1,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    beat_schedule={
        "refresh": {
            "task": "tasks.refresh",
            "schedule": settings.REFRESH_SECONDS,
            # they do not pile up while there is no worker
            "options": {"expires": settings.REFRESH_SECONDS},
        }
    },
    # the schedule is the one above; this scheduler keeps no file beside it
    beat_scheduler="celery.beat:Scheduler",
)


@worker_init.connect
def wait_for_redis(**_):
    """A worker waits for Redis, and goes on; a visitor would be told to come again."""
    celery.conf.result_backend_always_retry = True
    # a task that is to be tried again is sent once more
    celery.conf.task_publish_retry_policy = {"max_retries": None, "interval_max": 1}
    store.client.set_retry(Retry(ConstantBackoff(1), int(settings.TASK_SECONDS)))


@celery.task(bind=True, max_retries=4)
def refresh(task):
    """Bring the greetings up to date. What fails is tried again, and given up in the end."""
    store.claim(task.request.id)

    def progress(done, of):
        task.update_state(state=PROGRESS, meta={"done": done, "of": of})

    try:
        result = update(progress)
    except SourceError as error:
        tries = task.request.retries + 1
        if tries > task.max_retries:
            store.release(task.request.id)
            raise SourceError(f"{error} Given up after {tries} tries.") from None
        pause = settings.RETRY_SECONDS * 2**task.request.retries
        # not longer than a task may be silent
        raise task.retry(exc=error, countdown=min(pause, settings.TASK_SECONDS / 2)) from None
    store.release(task.request.id)
    return result


def request():
    """Ask for a refresh; the id of its task, which is that of another where one is at work."""
    task_id = str(uuid4())
    running = store.claim(task_id)
    if running == task_id:
        try:
            # so that the id is known before a worker takes the task
            celery.backend.store_result(task_id, None, QUEUED)
            refresh.apply_async(task_id=task_id, retry=False)
        except Exception:
            store.release(task_id)
            raise
    return running
