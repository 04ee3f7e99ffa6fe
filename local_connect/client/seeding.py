"""Deploys a seed to a running server, by its API and the real `rsconnect`."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from local_connect.api.common import PAGE
from local_connect.client import rsconnect
from local_connect.client.seed import INTEGRATIONS_FILE, Item, Seed
from local_connect.log import clear_progress, log, progress
from local_connect.records.store import User


async def apply(seed: Seed, *, url: str, users: Iterable[User]) -> list[str]:
    """Deploy what is not there yet, by name and owner; the names of what could not be.

    What is there stays as it is. Why something failed is said on the terminal. Raises
    `LocalConnectError` where there is no rsconnect.
    """
    rsconnect.find()
    failed = []
    async with aiohttp.ClientSession(url) as session:
        seeding = _Seeding(url, session, users)
        try:
            await seeding.add_integrations(seed.integrations)
        except _Refused as refusal:
            failed.append(INTEGRATIONS_FILE)
            log(f"seed: {INTEGRATIONS_FILE} NOT APPLIED: {refusal}", colour="red")
        for item in seed.items:
            try:
                done = await seeding.deploy(item)
            except _Refused as refusal:
                done = False
                log(f"seed: {item.name}: NOT DEPLOYED: {refusal}", colour="red")
            if not done:
                failed.append(item.name)
    return failed


class _Refused(Exception):
    """What the server's API said where it refused something of the seed."""


class _Seeding:
    def __init__(self, url: str, session: aiohttp.ClientSession, users: Iterable[User]) -> None:
        self._url = url
        self._session = session
        self._users = {user.username: user for user in users}
        self._administrator = next(
            user for user in self._users.values() if user.user_role == "administrator"
        )

    async def deploy(self, item: Item) -> bool:
        """Deploy an item that is not there; whether it is there now."""
        began = time.monotonic()
        owner = self._user(item.owner)
        query = {"name": item.name, "owner_guid": owner.guid}
        found = await self._call("GET", "/content", owner, params=query)
        if found and found[0]["bundle_id"]:
            return True
        log(f"seed: {item.name}: deploying {item.directory}")
        guid = found[0]["guid"] if found else await self._create(item, owner)
        status, output = await self._run(item, guid, owner)
        clear_progress()
        if status:
            for line in output.splitlines():
                log(f"seed: {item.name} | {line}")
            log(f"seed: {item.name}: NOT DEPLOYED, as is said above.", colour="red")
            return False
        if item.locked:
            await self._call("PATCH", f"/content/{guid}", owner, json={"locked": True})
        seconds = time.monotonic() - began
        log(
            f"seed: {item.name}: deployed in {seconds:.1f} s: {self._url}/content/{guid}/",
            colour="green",
        )
        return True

    async def _create(self, item: Item, owner: User) -> str:
        """New content with the item's settings; nothing is left of it where one is refused."""
        new = {"name": item.name, "title": item.name, **item.fields}
        content = await self._call("POST", "/content", owner, json=new)
        guid: str = content["guid"]
        address = f"/content/{guid}"
        try:
            if item.environment:
                variables = [
                    {"name": key, "value": item.environment[key]} for key in item.environment
                ]
                await self._call("PUT", f"{address}/environment", owner, json=variables)
            if item.vanity:
                await self._call("PUT", f"{address}/vanity", owner, json={"path": item.vanity})
            for kind, name, role in item.permissions:
                await self._permit(address, owner, kind, name, role)
            if item.integrations:
                await self._associate(address, owner, item.integrations)
            for names in item.tags:
                tag = await self._tag(names)
                await self._call("POST", f"{address}/tags", owner, json={"tag_id": tag})
        except _Refused:
            await self._call("DELETE", address, owner)
            raise
        return guid

    async def _run(self, item: Item, guid: str, owner: User) -> tuple[int, str]:
        """Deploy a copy, so that rsconnect leaves no record in the directory itself."""
        with tempfile.TemporaryDirectory(prefix="local-connect-seed-") as scratch:
            copy = Path(scratch) / item.directory.name
            if item.kind == "manifest":
                # all that it names has to be there
                shutil.copytree(item.directory, copy, symlinks=True)
            else:
                rsconnect.copy(item.directory, copy)
            status, output = await rsconnect.deploy(
                copy,
                item.kind,
                guid,
                entrypoint=item.entrypoint,
                url=self._url,
                api_key=owner.api_key,
                home=Path(scratch) / "home",
                on_line=lambda line: progress(f"seed: {item.name}: {line}"),
            )
        return status, output.replace(str(copy), str(item.directory))

    async def _permit(self, address: str, owner: User, kind: str, name: str, role: str) -> None:
        if kind == "user":
            guid = self._user(name).guid
        else:
            groups = await self._call(
                "GET", "/groups", owner, params={"prefix": name, "page_size": PAGE}
            )
            guid = next((one["guid"] for one in groups["results"] if one["name"] == name), "")
        permission = {"principal_guid": guid, "principal_type": kind, "role": role}
        await self._call("POST", f"{address}/permissions", owner, json=permission)

    async def _associate(self, address: str, owner: User, names: Iterable[str]) -> None:
        listed = await self._call("GET", "/oauth/integrations", owner)
        known = {one["name"]: one["guid"] for one in reversed(listed)}
        for one in reversed(listed):
            if one["template"] == "connect":
                known["visitor-key"] = one["guid"]
        for name in names:
            if name not in known:
                raise _Refused(
                    f"There is no integration {name!r}, only {', '.join(sorted(known))}."
                )
        associations = [{"oauth_integration_guid": known[name]} for name in names]
        path = f"{address}/oauth/integrations/associations"
        await self._call("PUT", path, owner, json=associations)

    async def add_integrations(self, integrations: Iterable[Mapping[str, Any]]) -> None:
        """Make the integrations that are not there, by name.

        One that a server has from the beginning, and that nobody has changed, is as the seed says.
        """
        address = "/oauth/integrations"
        listed = await self._call("GET", address, self._administrator)
        there = {one["name"]: one for one in listed}
        for fields in integrations:
            found = there.get(fields["name"])
            if found is None:
                await self._call("POST", address, self._administrator, json=dict(fields))
            elif found["created_time"] == found["updated_time"]:
                place = f"{address}/{found['guid']}"
                await self._call("PATCH", place, self._administrator, json=dict(fields))

    async def _tag(self, names: Iterable[str]) -> str:
        """The id of the tag with this path, made where it is not there."""
        tags = await self._call("GET", "/tags", self._administrator)
        by_place = {(tag["parent_id"], tag["name"]): tag["id"] for tag in tags}
        parent: str | None = None
        for name in names:
            found = by_place.get((parent, name))
            if found is None:
                new = {"name": name, "parent_id": parent}
                found = (await self._call("POST", "/tags", self._administrator, json=new))["id"]
            parent = found
        return str(parent)

    def _user(self, name: str) -> User:
        if name not in self._users:
            raise _Refused(f"There is no user {name} any more who can come in.")
        return self._users[name]

    async def _call(self, method: str, path: str, user: User, **options: Any) -> Any:
        """The JSON of an answer of the API; `_Refused` with its words where it refuses."""
        headers = {"Authorization": f"Key {user.api_key}"}
        async with self._session.request(
            method, f"/__api__/v1{path}", headers=headers, **options
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise _Refused(json.loads(text)["error"])
            return json.loads(text) if text else None
