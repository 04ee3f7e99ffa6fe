"""`v1/oauth`: integrations, which content may use them, and the exchange of tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web
from sqlalchemy import select

from local_connect.access import rights
from local_connect.access.identity import key_in
from local_connect.access.integrations import CONNECT, TEMPLATES, Use
from local_connect.api.common import (
    caller,
    content_of,
    content_to_change,
    form_fields,
    json_body,
    json_object,
    services,
)
from local_connect.errors import BadRequest, Forbidden, NotFound
from local_connect.records.store import (
    SERVICE_ACCOUNT,
    VIEWER,
    Content,
    Integration,
    OauthSession,
    User,
)

routes = web.RouteTableDef()


@routes.get("/__api__/v1/oauth/templates")
async def get_templates(request: web.Request) -> web.Response:
    caller(request)
    return web.json_response([_template_answer(template) for template in TEMPLATES])


@routes.get("/__api__/v1/oauth/templates/{id}")
async def get_template(request: web.Request) -> web.Response:
    caller(request)
    template = request.match_info["id"]
    if template not in TEMPLATES:
        raise NotFound("There is no such template.")
    return web.json_response(_template_answer(template))


@routes.get("/__api__/v1/oauth/integrations")
async def get_integrations(request: web.Request) -> web.Response:
    found = services(request).integrations.all(caller(request))
    return web.json_response([_integration_answer(integration) for integration in found])


@routes.post("/__api__/v1/oauth/integrations")
async def create_integration(request: web.Request) -> web.Response:
    user = caller(request)
    made = services(request).integrations.create(user, await json_object(request))
    return web.json_response(_integration_answer(made))


@routes.post("/__api__/v1/oauth/integrations/credentials")
async def exchange(request: web.Request) -> web.Response:
    """Credentials for the token of a session, which content got with a request or in a file."""
    user = caller(request)
    services(request).identities.check_lasting(request.headers)
    form = await form_fields(request)
    key = key_in(request.headers)
    content_guid = services(request).processes.content_of_key(key) if key else None
    return web.json_response(
        services(request).exchange.credentials(user, content_guid, form),
        headers={"Cache-Control": "no-store"},
    )


@routes.get("/__api__/v1/oauth/integrations/{guid}")
async def get_integration(request: web.Request) -> web.Response:
    found = services(request).integrations.get(caller(request), request.match_info["guid"])
    return web.json_response(_integration_answer(found))


@routes.patch("/__api__/v1/oauth/integrations/{guid}")
async def update_integration(request: web.Request) -> web.Response:
    user = caller(request)
    changed = services(request).integrations.update(
        user, request.match_info["guid"], await json_object(request)
    )
    return web.json_response(_integration_answer(changed))


@routes.delete("/__api__/v1/oauth/integrations/{guid}")
async def delete_integration(request: web.Request) -> web.Response:
    user = caller(request)
    for content_guid in services(request).integrations.delete(user, request.match_info["guid"]):
        await services(request).deploys.replace(content_guid)
    return web.Response(status=204)


@routes.get("/__api__/v1/oauth/integrations/{guid}/associations")
async def get_associations(request: web.Request) -> web.Response:
    """The content that may use the integration, as far as the caller may see it."""
    found = services(request).integrations.of_integration(
        caller(request), request.match_info["guid"]
    )
    return web.json_response([_association_answer(use) for use in found])


@routes.get("/__api__/v1/content/{guid}/oauth/integrations/associations")
async def get_content_associations(request: web.Request) -> web.Response:
    content = content_of(request, caller(request))
    found = services(request).integrations.of_content(content.guid)
    return web.json_response([_association_answer(use) for use in found])


@routes.put("/__api__/v1/content/{guid}/oauth/integrations/associations")
async def set_content_associations(request: web.Request) -> web.Response:
    """Let the content use the integrations that are listed, and no others."""
    user = caller(request)
    content = content_to_change(request, user)
    body = await json_body(request)
    if not isinstance(body, list):
        raise BadRequest('Associations come as [{"oauth_integration_guid": …}].')
    guids = [
        entry.get("oauth_integration_guid") if isinstance(entry, dict) else None for entry in body
    ]
    if not all(isinstance(guid, str) for guid in guids):
        raise BadRequest("An association has no oauth_integration_guid.")
    await associate(request, user, content, map(str, guids))
    found = services(request).integrations.of_content(content.guid)
    return web.json_response([_association_answer(use) for use in found])


@routes.get("/__api__/v1/oauth/sessions")
async def get_sessions(request: web.Request) -> web.Response:
    """The caller's sessions; with `all` an administrator gets everyone's."""
    user = caller(request)
    query = select(OauthSession).order_by(OauthSession.id)
    if request.query.get("all", "").lower() not in ("true", "1"):
        query = query.filter_by(user_guid=user.guid)
    else:
        rights.check_administrator(user)
    with services(request).store.session() as session:
        found = session.scalars(query).all()
    return web.json_response([_session_answer(one) for one in found])


@routes.get("/__api__/v1/oauth/sessions/{guid}")
async def get_session(request: web.Request) -> web.Response:
    return web.json_response(_session_answer(_session_of(request, caller(request))))


@routes.delete("/__api__/v1/oauth/sessions/{guid}")
async def delete_session(request: web.Request) -> web.Response:
    found = _session_of(request, caller(request))
    with services(request).store.session() as session:
        session.delete(session.get_one(OauthSession, found.id))
    return web.Response(status=204)


async def associate(
    request: web.Request, user: User, content: Content, guids: Iterable[str]
) -> None:
    """Let content use these integrations and no others, and let it take effect."""
    if services(request).integrations.associate(user, content, guids):
        # a process keeps the environment that it was started with
        await services(request).deploys.replace(content.guid)


def _session_of(request: web.Request, user: User) -> OauthSession:
    with services(request).store.session() as session:
        found = session.scalars(
            select(OauthSession).filter_by(guid=request.match_info["guid"])
        ).one_or_none()
    if found is None:
        raise NotFound("There is no such session.")
    if found.user_guid != user.guid and user.user_role != "administrator":
        raise Forbidden("This session is not yours.")
    return found


def _template_answer(template: str) -> dict[str, Any]:
    if template == CONNECT:
        roles = ("Viewer", "Publisher", "Administrator")
        fields = [{"name": "max_role", "label": "Max Role", "secret": False, "values": roles}]
    else:
        fields = [
            {
                "name": "auth_type",
                "label": "Authentication Type",
                "secret": False,
                "values": (VIEWER, SERVICE_ACCOUNT),
            },
            {"name": "client_id", "label": "Client ID", "secret": False},
            {"name": "client_secret", "label": "Client Secret", "secret": True},
        ]
    return {
        "id": template,
        "name": TEMPLATES[template],
        "description": f"{TEMPLATES[template]} integration",
        "fields": fields,
        "options": [],
    }


def _integration_answer(integration: Integration) -> dict[str, Any]:
    return {
        "id": str(integration.id),
        "guid": integration.guid,
        "created_time": integration.created_time,
        "updated_time": integration.updated_time,
        "name": integration.name,
        "description": integration.description,
        "template": integration.template,
        "auth_type": integration.auth_type,
        "config": integration.config,
        "permissions": integration.permissions,
        "environment_variables": [],
    }


def _association_answer(use: Use) -> dict[str, Any]:
    integration = use.integration
    return {
        "app_guid": use.association.content_guid,
        "oauth_integration_guid": integration.guid,
        "oauth_integration_name": integration.name,
        "oauth_integration_description": integration.description,
        "oauth_integration_template": integration.template,
        "oauth_integration_auth_type": integration.auth_type,
        "created_time": use.association.created_time,
    }


def _session_answer(session: OauthSession) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "guid": session.guid,
        "user_guid": session.user_guid,
        "oauth_integration_guid": session.integration_guid,
        # nobody here talks to the service that would give one
        "has_refresh_token": False,
        "created_time": session.created_time,
        "updated_time": session.updated_time,
    }
