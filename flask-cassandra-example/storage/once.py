"""Something that is made once, however many threads ask for it at the same time."""

from concurrent.futures import Future
from functools import wraps
from threading import Lock


def once(function):
    """Keep what the function returns, for each set of arguments.

    Threads that ask while it is being made wait for it. If it fails, it fails for all who wait,
    and whoever asks next tries again.
    """
    calls = {}
    lock = Lock()

    @wraps(function)
    def wrapper(*arguments):
        with lock:
            call = calls.get(arguments)
            first = call is None
            if first:
                call = calls[arguments] = Future()
        if first:
            try:
                call.set_result(function(*arguments))
            except BaseException as error:
                del calls[arguments]
                call.set_exception(error)
        return call.result()

    return wrapper
