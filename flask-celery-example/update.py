"""Brings what is in Redis up to date."""

import source
import store


def update(progress=lambda *_: None):
    """Take over what the source has, if it is new. It may run many times at once.

    `progress` is told how many greetings are written, of how many. Raises `SourceError` where the
    source cannot be used; what was in Redis stays then.
    """
    while True:
        before = store.about()
        old = before.get("version")
        is_known = before.get("source") == source.NAME and not store.is_empty()
        found = source.fetch(old if is_known else None)
        if found is None:
            return {"result": "unchanged", "old": old, "new": old}
        new, texts = found
        about = {"version": new, "source": source.NAME}
        if store.replace(texts, about, before, progress):
            return {"result": "changed", "old": old, "new": new}
        # somebody else was quicker; what they have may be newer than this
