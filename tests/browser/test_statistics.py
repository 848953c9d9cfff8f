"""Statistics: what the API says, as totals, charts and tables of the same numbers, and as CSV."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def statistics(open_page) -> Page:
    page = open_page("/?view=statistics")
    expect(page.locator(".totals")).to_be_visible()
    return page


def rows(page: Page, caption: str) -> list[list[str]]:
    return (
        page.get_by_role("region", name=caption)
        .locator("tbody tr")
        .evaluate_all("rows => rows.map(row => [...row.children].map(cell => cell.textContent))")
    )


def test_totals_are_the_apis_and_say_what_they_mean(statistics, stack):
    stats = stack.api("GET", "/stats")["stats"]
    totals = statistics.locator(".totals > div")

    expect(totals.nth(1).locator("dd").first).to_have_text(str(stats["total_videos"]))
    expect(totals.nth(2).locator("dd").first).to_have_text(f"${stats['total_cost']:,.2f}")
    expect(totals.nth(2)).to_contain_text("generations it is not")


def test_the_tables_have_the_charts_numbers(statistics, stack):
    stats = stack.api("GET", "/stats")["stats"]
    days = rows(statistics, "Each day")

    assert [row[0] for row in days] == [day["day"] for day in reversed(stats["by_day"])]
    assert [row[1] for row in days] == [str(day["generations"]) for day in reversed(stats["by_day"])]
    drawn = statistics.locator(".chart").first.locator("g title").all_text_contents()
    assert len(drawn) == 30
    assert f"Completed {stats['by_day'][-1]['completed']}," in drawn[-1]


def test_a_cost_nobody_knows_is_said_to_be_unknown(open_page, stack):
    stats = stack.api("GET", "/stats")
    stats["stats"]["by_day"][-1]["cost"] = None
    page = open_page("about:blank")
    page.route("**/api/history/stats", lambda route: route.fulfill(json=stats))
    page.goto("/?view=statistics")

    expect(page.get_by_role("region", name="Each day").locator("tbody tr").first).to_contain_text("unknown")


def test_csv_has_the_same_numbers(statistics, stack):
    with statistics.expect_download() as download:
        statistics.locator("[data-csv=variants]").click()

    with Path(download.value.path()).open(newline="") as file:
        kept = list(csv.DictReader(file))
    assert [(row["variant_type"], row["videos"]) for row in kept] == [
        (one["variant_type"], str(one["videos"])) for one in stack.api("GET", "/stats")["stats"]["by_variant"]
    ]


def test_csv_is_no_formula_and_quotes_what_must_be(statistics):
    made = statistics.evaluate(
        "import('/csv.js').then(({toCsv}) => toCsv([['=1+1', '@x', 'a,b', 'say \"no\"', 'two\\nlines', null, -5]]))"
    )

    assert made == '\'=1+1,\'@x,"a,b","say ""no""","two\nlines",,-5\r\n'


def test_axe_finds_nothing_in_the_statistics(statistics, axe):
    assert axe(statistics) == []


def test_a_day_whose_costs_nobody_knows_costs_unknown(open_page, stack):
    stats = stack.api("GET", "/stats")
    stats["stats"]["by_day"][-1] |= {"generations": 2, "cost": 0, "cost_unknown": 2}
    stats["stats"]["by_variant"][0] |= {"rendered_cost": 0, "cost_unknown": 3}
    stats["stats"] |= {"total_cost": 0, "cost_unknown": 2}
    page = open_page("about:blank")
    page.route("**/api/history/stats", lambda route: route.fulfill(json=stats))
    page.goto("/?view=statistics")
    expect(page.get_by_role("region", name="Each day").locator("tbody tr").first).to_contain_text(
        "unknown", timeout=2000
    )
    expect(page.locator(".totals > div").nth(2).locator("dd").first).to_have_text("unknown")
    expect(page.get_by_role("region", name="Each variant").locator("tbody tr").first).to_contain_text("unknown")
