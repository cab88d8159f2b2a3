"""The page in a real Chromium: it draws, sorts, filters, browses, darkens, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.page.conftest import CHROMIUM
from tests.page.whole import HOSTILE

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENT = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        # the sandbox of Chromium needs rights that a container's root does not give
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENT)
        yield started
        started.close()


def opened(browser: Browser, written: Path, size: dict[str, int], scheme: str) -> tuple[Page, list[str]]:
    """The page, and what went wrong on it so far."""
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page, faults = context.new_page(), []
    page.set_default_timeout(PATIENT)
    page.on("console", lambda said: faults.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith("file:") else faults.append(asked.url))
    page.goto((written / "reports/index.html").as_uri())
    return page, faults


@pytest.fixture
def page(browser: Browser, written: Path) -> Iterator[Page]:
    page, faults = opened(browser, written, WIDE, "light")
    yield page
    page.context.close()
    assert faults == []


def box(page: Page, selector: str) -> dict[str, float]:
    """Where the first such element lies."""
    return {**(page.locator(selector).first.bounding_box() or {})}  # type: ignore[dict-item]


def column(page: Page, place: int) -> list[str]:
    cells = page.locator(f"#scores div.tab:not([hidden]) tbody tr:not([hidden]) > :nth-child({place})")
    return [str(cell.get_attribute("data-sort")) for cell in cells.all()]


def test_every_chart_is_drawn(page: Page) -> None:
    figures = page.locator(".figure")
    assert figures.count() == 10 + 4 + 2 + 2 + 2 + 1 + 5 * 2
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        expect(figure.locator("svg")).to_be_visible(timeout=PATIENT)
    page.locator("[data-focus=topk]").click()
    expect(page.locator("[data-focus=topk]")).to_have_attribute("aria-pressed", "true")


def test_a_click_on_a_heading_sorts_and_another_turns(page: Page) -> None:
    head = page.locator("#scores div.tab:not([hidden]) thead th:nth-child(3) button")
    before = sorted(map(float, column(page, 3)))
    head.click()
    assert list(map(float, column(page, 3))) == before[::-1]
    head.click()
    assert list(map(float, column(page, 3))) == before


def test_filter_controls_and_tabs(page: Page) -> None:
    assert "standard (pairs)" in column(page, 1)
    page.locator("#controls").uncheck()
    assert column(page, 1) == ["standard", "topk", "temporal"]
    page.locator("#filter").fill("topk temp")
    assert column(page, 1) == ["topk", "temporal"]
    first = column(page, 2)
    page.locator(".tabs button").nth(1).click()
    assert column(page, 2) != first


def test_the_pair_table_follows_the_choice(page: Page) -> None:
    assert page.locator("div.pair:not([hidden])").count() == 1
    page.locator("#pair").select_option(index=3)
    shown = page.locator("div.pair:not([hidden])")
    assert shown.get_attribute("data-pair") == "0-3"
    assert shown.locator("tbody tr").count() == 5


def test_the_browser_shows_tokens_as_text_side_by_side(page: Page) -> None:
    left, right = page.locator(".side").nth(0), page.locator(".side").nth(1)
    assert left.locator("select").first.locator("option:checked").inner_text() == "standard l0-16"
    assert right.locator("select").first.locator("option:checked").inner_text() == "temporal l0-16"
    words = [span.text_content() for span in left.locator(".detail .tokens").first.locator("span").all()]
    assert words[: len(HOSTILE)] == HOSTILE
    left.locator("select").nth(1).select_option("absorbs")
    assert "<i>apple</i>" in left.locator(".detail h3").first.inner_text()
    assert page.locator("#latents script, #latents img, #latents .detail b").count() == 0
    assert left.locator(".strip[aria-pressed=true]").count() == 1


def test_the_theme_follows_the_system_and_can_be_chosen(browser: Browser, written: Path) -> None:
    page, faults = opened(browser, written, WIDE, "dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate(paper) != dark
    page.locator("#theme").click()
    assert page.evaluate(paper) == dark
    page.context.close()
    assert faults == []


def test_a_phone_need_not_scroll_sideways(browser: Browser, written: Path) -> None:
    """Heat maps keep a width at which their cells can be read and scroll within themselves."""
    page, faults = opened(browser, written, PHONE, "light")
    for figure in page.locator(".figure").all():
        figure.scroll_into_view_if_needed()
        expect(figure.locator("svg")).to_be_attached(timeout=PATIENT)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert box(page, "#letters .figure").get("width", 0) > 1.5 * PHONE["width"]
    page.context.close()
    assert faults == []


def test_on_a_phone_the_two_strips_stay_together(browser: Browser, written: Path) -> None:
    page, faults = opened(browser, written, PHONE, "light")
    second, detail = box(page, ".side:nth-child(2) .strips"), box(page, ".side:nth-child(1) .shown")
    assert second["y"] + second["height"] <= detail["y"]
    page.context.close()
    assert faults == []
