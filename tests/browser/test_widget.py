"""The widget as a person sees it: Chromium, Airflow's login and navigation, a real database."""

from __future__ import annotations

from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tapekeeper.local.airflow import VIEWER
from tapekeeper.quality.job import QualityJob
from tapekeeper.quality.report import write_reports
from tapekeeper.settings import read_settings
from tapekeeper.store.database import Database
from tests.support.api_server import ApiServer, running_api_server
from tests.support.tape import add_days, add_gap, add_series, forget_everything, move_in_time, table_out_of_sight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM: Final = Path("/usr/bin/chromium")
CHROMEDRIVER: Final = Path("/usr/bin/chromedriver")
PATIENCE_SECONDS: Final = 60
ROWS: Final = 12_345
FRAME: Final = "iframe[title='Data status']"
OPTIONS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1360,900",
)

# Whatever is wider than its box, but for the calendar, which scrolls.
CUT_OFF: Final = """
    return [...document.querySelectorAll('main *')]
        .filter((each) => !each.closest('.scroll') && !each.closest('svg') && each.scrollWidth > each.clientWidth + 1)
        .filter((each) => getComputedStyle(each).display !== 'inline')
        .map((each) => each.outerHTML.slice(0, 200))
"""

# Lets timers run thirty times as fast, and remembers what each was set to.
QUICK_TIMERS: Final = """
    window.timersSet = [];
    const setTimeout = window.setTimeout;
    window.setTimeout = (callback, milliseconds, ...more) => {
        window.timersSet.push(milliseconds);
        return setTimeout(callback, milliseconds / 30, ...more);
    };
"""

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and CHROMEDRIVER.exists()),
    reason="Chromium is missing: apt-get install --yes chromium chromium-driver",
)


class Widget:
    """The page inside Airflow's frame."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def text(self, name: str) -> str:
        return self.element(name).text

    def element(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        WebDriverWait(self.driver, PATIENCE_SECONDS).until(lambda _: condition(), f"waited in vain: {what}")

    def refresh(self) -> None:
        self.element("refresh-scraper-status-btn").click()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the reports."""
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def api_server(
    module_database_url: str, reports: Path, airflow_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    settings = {"TAPEKEEPER_DATABASE_URL": module_database_url, "TAPEKEEPER_QUALITY_REPORT_FOLDER": str(reports)}
    folder = tmp_path_factory.mktemp("api-server")
    with running_api_server(folder, airflow_tables, settings, base_path="/desk") as running:
        yield running


@pytest.fixture(autouse=True)
def _empty_database(module_database_url: str) -> None:
    forget_everything(module_database_url)


@contextmanager
def chromium(folder: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(CHROMEDRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path / "profile") as driver:
        yield driver


def log_in(browser: webdriver.Chrome, api_server: ApiServer) -> None:
    waiting = WebDriverWait(browser, PATIENCE_SECONDS)
    browser.get(f"{api_server.url}/")
    waiting.until(lambda driver: driver.find_elements(By.NAME, "username"))
    browser.find_element(By.NAME, "username").send_keys(VIEWER)
    browser.find_element(By.NAME, "password").send_keys(api_server.passwords[VIEWER], Keys.ENTER)
    waiting.until(lambda driver: driver.find_elements(By.LINK_TEXT, "Data status"), "no entry in the navigation")


def open_widget(browser: webdriver.Chrome) -> Widget:
    browser.find_element(By.LINK_TEXT, "Data status").click()
    waiting = WebDriverWait(browser, PATIENCE_SECONDS)
    frame = waiting.until(lambda driver: driver.find_element(By.CSS_SELECTOR, FRAME))
    browser.switch_to.frame(frame)
    widget = Widget(browser)
    widget.wait_for(lambda: browser.find_elements(By.ID, "scraper-updated"), "the page in the frame")
    return widget


def check_quality(url: str, reports: Path) -> Path:
    """Count candles as `tapekeeper check` does, and return the folder of the report."""
    settings = read_settings({"TAPEKEEPER_DATABASE_URL": url})
    with QualityJob(settings) as job:
        summary = job.run(job.request(["deribit.perpetual_candles"], "7d", ["row_counts"]), "by hand", by="test")
    with closing(Database(url)) as database:
        return database.run(lambda cursor: write_reports(cursor, summary, reports))


def requested(browser: webdriver.Chrome) -> set[str]:
    """Return the addresses that the page in the frame has asked for, without their queries."""
    names = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    return {str(name).split("?")[0] for name in names}


def test_a_person_sees_data_run_and_then_stop(
    api_server: ApiServer, browser: webdriver.Chrome, module_database_url: str, tmp_path: Path
) -> None:
    newest = datetime.now(UTC).replace(second=0, microsecond=0)
    oldest = newest - timedelta(minutes=ROWS - 1)
    log_in(browser, api_server)
    widget = open_widget(browser)
    widget.wait_for(lambda: widget.text("scraper-range") == "No data yet", "an empty database")
    assert widget.text("scraper-running") == "STALE / STOPPED"
    assert "trigger the DAG" in widget.text("scraper-status-message")

    add_series(module_database_url, "BTC-PERPETUAL", first=oldest, rows=ROWS)
    widget.refresh()
    told = ("scraper-running", "scraper-status-message")
    widget.wait_for(lambda: [widget.text(name) for name in told] == ["RUNNING", "Refreshed."], "RUNNING")
    assert browser.find_element(By.TAG_NAME, "h1").text == "Intraday Data & Scraper Status (Deribit)"
    assert widget.text("scraper-rows") == f"{ROWS:,}"
    assert widget.text("scraper-days") == str((newest.date() - oldest.date()).days + 1)
    assert widget.text("scraper-range") == f"{oldest:%Y-%m-%d %H:%M} → {newest:%Y-%m-%d %H:%M}"
    assert widget.text("scraper-size").endswith(" MB")
    assert widget.text("scraper-interval") == "300 s (5 min)"
    assert (widget.text("scraper-source"), widget.text("scraper-backend")) == ("Deribit intraday", "postgresql")
    row = browser.find_element(By.CSS_SELECTOR, "tr[data-dataset='deribit.perpetual_candles']")
    assert all(part in row.text for part in ("RUNNING", f"{ROWS:,}", "100.0 %", "No run yet"))
    browser.save_screenshot(str(tmp_path / "running.png"))

    move_in_time(module_database_url, timedelta(days=-3))
    widget.refresh()
    widget.wait_for(lambda: widget.text("scraper-running") == "STALE / STOPPED", "STALE / STOPPED")
    assert widget.text("scraper-freshness") == "Newest event 3 days ago"
    browser.save_screenshot(str(tmp_path / "stale.png"))

    ours = f"{api_server.url}/api/data_status/"
    static = [f"{ours}static/{name}" for name in ("widget.css", "theme.js", "widget.js", "icon.svg")]
    assert {ours, f"{ours}intraday"} <= requested(browser) <= {ours, f"{ours}intraday", *static}


def test_the_page_finds_out_by_itself_every_thirty_seconds(
    api_server: ApiServer, browser: webdriver.Chrome, module_database_url: str
) -> None:
    newest = datetime.now(UTC).replace(second=0, microsecond=0)
    add_series(module_database_url, "BTC-PERPETUAL", first=newest - timedelta(days=3), rows=1)
    log_in(browser, api_server)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": QUICK_TIMERS})
    browser.get(f"{api_server.url}/api/data_status/widget")
    widget = Widget(browser)
    widget.wait_for(lambda: widget.text("scraper-running") == "STALE / STOPPED", "STALE / STOPPED")
    # Nobody presses anything.
    move_in_time(module_database_url, timedelta(days=3))
    widget.wait_for(lambda: widget.text("scraper-running") == "RUNNING", "RUNNING by the automatic refresh")
    move_in_time(module_database_url, timedelta(days=-3))
    widget.wait_for(lambda: widget.text("scraper-running") == "STALE / STOPPED", "the refresh after that")
    assert browser.execute_script("return window.timersSet.filter((each) => each === 30000).length") >= 2


def test_trouble_is_told_and_nothing_is_claimed(
    api_server: ApiServer, browser: webdriver.Chrome, module_database_url: str
) -> None:
    add_series(module_database_url, "BTC-PERPETUAL", first=datetime(2024, 5, 1, tzinfo=UTC), rows=ROWS)
    log_in(browser, api_server)
    with table_out_of_sight(module_database_url, "series_totals"):
        widget = open_widget(browser)
        widget.wait_for(lambda: "run tapekeeper migrate" in widget.text("scraper-status-message"), "the sentence")
        assert widget.text("scraper-running") == "UNKNOWN"
    widget.refresh()
    widget.wait_for(lambda: widget.text("scraper-status-message") == "Refreshed.", "the database back again")
    assert widget.text("scraper-running") != "UNKNOWN"
    browser.delete_all_cookies()
    widget.refresh()
    widget.wait_for(lambda: "log in to Airflow again" in widget.text("scraper-status-message"), "the lost session")
    assert widget.text("scraper-running") == "UNKNOWN"


def test_the_page_is_as_light_or_dark_as_airflow(api_server: ApiServer, browser: webdriver.Chrome) -> None:
    log_in(browser, api_server)
    widget = open_widget(browser)
    background = "return getComputedStyle(document.body).backgroundColor"

    def shown_in(theme: str) -> str:
        browser.switch_to.default_content()
        browser.execute_script("document.documentElement.className = arguments[0]", theme)
        browser.switch_to.frame(browser.find_element(By.CSS_SELECTOR, FRAME))
        page = browser.find_element(By.TAG_NAME, "html")
        widget.wait_for(lambda: page.get_attribute("data-theme") == theme, theme)
        return str(browser.execute_script(background))

    assert shown_in("dark") == "rgb(22, 29, 45)"
    assert shown_in("light") == "rgb(255, 255, 255)"


def test_what_is_proven_is_shown_and_leads_to_its_report(
    api_server: ApiServer, browser: webdriver.Chrome, module_database_url: str, reports: Path
) -> None:
    add_series(module_database_url, "BTC-PERPETUAL", first=datetime(2024, 5, 1, tzinfo=UTC), rows=ROWS)
    add_days(module_database_url, "BTC-PERPETUAL", days=40, lacking={1: 144})
    add_gap(module_database_url, "BTC-PERPETUAL", days_ago=1, missing=144, state="open")
    check_quality(module_database_url, reports)
    log_in(browser, api_server)
    widget = open_widget(browser)
    widget.wait_for(lambda: widget.text("scraper-updated").startswith("Updated"), "numbers")
    row = browser.find_element(By.CSS_SELECTOR, "tr[data-dataset='deribit.perpetual_candles']")
    assert "24h 90.0 % · 7d 98.5 % · 30d 99.6 %" in row.text
    assert row.find_element(By.CSS_SELECTOR, "td[data-label='Open gaps']").text == "1"
    told = row.find_element(By.CLASS_NAME, "complete").get_attribute("title")
    assert told == f"{ROWS:,} held of {ROWS:,} expected"
    link = row.find_element(By.CSS_SELECTOR, "td[data-label='Last check'] a")
    assert link.text.startswith("RED")
    link.click()
    widget.wait_for(lambda: browser.find_elements(By.ID, "calendar"), "the report in the frame")
    assert "Somebody has to look" in browser.find_element(By.TAG_NAME, "h1").text
    colour = "return getComputedStyle(document.querySelector('.verdict')).borderTopColor"
    assert browser.execute_script(colour) != browser.execute_script(colour.replace("Top", "Bottom")), "no style"
    assert not requested(browser)


def test_the_report_fits_every_width(
    browser: webdriver.Chrome, api_server: ApiServer, module_database_url: str, reports: Path
) -> None:
    for number in range(5):
        name = f"BTC_USDC-27DEC26-{number}00000-C-with-a-long-name"
        add_series(module_database_url, name, first=datetime(2024, 5, 1, tzinfo=UTC), rows=1)
        add_days(module_database_url, name, days=100, lacking={3: 700})
        add_gap(module_database_url, name, days_ago=3, missing=700, state=["open", "permanent"][number % 2])
    browser.get((check_quality(module_database_url, reports) / "report.html").as_uri())
    for width in (360, 768, 1280):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(overflow) == 0, f"the page is wider than {width} pixels"
        inside = browser.execute_script(CUT_OFF)
        assert inside == [], f"something is cut off at {width} pixels"
    newest = "const r = document.querySelector('.calendar td:last-child').getBoundingClientRect(); return r.right"
    assert browser.execute_script(newest) <= 1280, "the newest days are in view first"


def test_the_page_fits_every_width(api_server: ApiServer, browser: webdriver.Chrome, module_database_url: str) -> None:
    add_series(module_database_url, "BTC-PERPETUAL", first=datetime(2024, 5, 1, tzinfo=UTC), rows=ROWS)
    add_days(module_database_url, "BTC-PERPETUAL", days=40, lacking={3: 700})
    add_gap(module_database_url, "BTC-PERPETUAL", days_ago=3, missing=700, state="open")
    log_in(browser, api_server)
    browser.get(f"{api_server.url}/api/data_status/widget")
    widget = Widget(browser)
    for width in (360, 768, 1024, 1280, 1920):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        widget.wait_for(lambda: widget.text("scraper-updated").startswith("Updated"), "numbers")
        overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(overflow) == 0, f"the page is wider than {width} pixels"
        assert browser.execute_script(CUT_OFF) == [], f"something is cut off at {width} pixels"
    states = [element.text for element in browser.find_elements(By.CSS_SELECTOR, "#dataset-rows td[data-label=State]")]
    assert states[0] == "STALE / STOPPED"
    assert set(states[1:]) == {"NOT USED"}, "of what nobody asked for nothing is stale"


def test_the_button_is_reached_with_the_keyboard_alone(
    api_server: ApiServer, browser: webdriver.Chrome, module_database_url: str
) -> None:
    add_series(module_database_url, "BTC-PERPETUAL", first=datetime(2024, 5, 1, tzinfo=UTC), rows=ROWS)
    log_in(browser, api_server)
    browser.get(f"{api_server.url}/api/data_status/widget")
    widget = Widget(browser)
    widget.wait_for(lambda: widget.text("scraper-updated").startswith("Updated"), "numbers")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element == widget.element("refresh-scraper-status-btn")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    widget.wait_for(lambda: widget.text("scraper-status-message") == "Refreshed.", "an answer to the key")
