"""Swagger UI, handled as a person does, whatever its release."""

from playwright.sync_api import Locator, Page, expect


def try_out(page: Page, path: str) -> Locator:
    """The block of the GET of a path, such as `greetings/{lang}`, unfolded and ready to fill."""
    expect(page.locator(".opblock-tag").first).to_be_visible()
    for tag in page.locator(".opblock-tag-section:not(.is-open) .opblock-tag").all():
        tag.click()
    block = page.locator(".opblock-get").filter(has=page.locator(f'[data-path="/{path}"]'))
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    return block
