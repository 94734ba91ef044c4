"""The page at `/` in headless Chromium, against a real server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

from tests.clients.conftest import KEY
from tests.serving import MINILM, Served, serve
from tests.unit.server import tiny

WAIT_S = 60
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    browser, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not chromedriver:
        pytest.skip("Chromium is not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options, Service(chromedriver))
    yield chromium
    chromium.quit()


@pytest.fixture
def page(driver: WebDriver, served: Served) -> Iterator["Page"]:
    """The page of a server with a key, which has been entered."""
    opened = Page(driver, f"{served.url.rstrip('/')}/")
    opened.type("key", KEY + Keys.ENTER)
    opened.wait_for("facts", MINILM)
    assert served.client.get("/info").json()["space"] in opened.text("subtitle")
    opened.console()  # the request without a key, which is answered with 401
    yield opened
    assert opened.console() == []
    assert [url for url in opened.requested() if not url.startswith((f"{served.url.rstrip('/')}/", "data:"))] == []
    opened.leave()


class Page:
    """A page in the browser: types, clicks and reads by the elements' ids."""

    def __init__(self, driver: WebDriver, url: str) -> None:
        self.driver = driver
        driver.get(url)

    def leave(self) -> None:
        """Stop the page's requests, and forget what it has logged."""
        self.driver.get("about:blank")
        self.console()
        self.requested()

    def type(self, id_: str, text: str) -> None:
        box = self.driver.find_element(By.ID, id_)
        box.clear()
        box.send_keys(text)

    def paste(self, id_: str, text: str) -> None:
        """Set a value at once, as pasting does."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
        self.driver.execute_script(script, self.driver.find_element(By.ID, id_), text)

    def submit(self, form: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"#{form} button").click()

    def text(self, id_: str) -> str:
        return str(self.driver.find_element(By.ID, id_).text)

    def wait_for(self, id_: str, text: str) -> str:
        """Wait until the element contains `text`, and return all that it contains."""
        WebDriverWait(self.driver, WAIT_S, 0.1).until(
            lambda _: text in self.text(id_), f"#{id_}: {self.text(id_)!r}, {self.text('error')!r}"
        )
        return self.text(id_)

    def cells(self, id_: str, selector: str) -> list[str]:
        return [cell.text for cell in self.driver.find_elements(By.CSS_SELECTOR, f"#{id_} {selector}")]

    def console(self) -> list[dict[str, Any]]:
        return list(self.driver.get_log("browser"))

    def requested(self) -> list[str]:
        """Return the URLs requested since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith(("chrome", "about:"))]


def test_texts_are_compared_and_their_vectors_shown(page: Page, served: Served) -> None:
    page.type("texts", "A cat sleeps.\nA kitten naps.\nRates rose.")
    page.driver.find_element(By.ID, "texts").send_keys(Keys.CONTROL + Keys.ENTER)
    page.wait_for("matrix", "Rates rose.")
    cosines = [float(cell) for cell in page.cells("matrix", "td.heat")]
    assert cosines[0::4] == [1, 1, 1]
    assert cosines[1] > 0.5 > cosines[2]
    (vector,) = served.embed(["A cat sleeps."])
    assert page.cells("vectors", "li code")[0].startswith(f"[{vector[0]:.4f}, {vector[1]:.4f}")
    snippets = page.text("snippets")
    assert "A kitten naps." in snippets
    assert f"{served.url.rstrip('/')}/embed" in snippets
    assert KEY not in page.driver.page_source


def test_passages_are_ranked_for_a_query(page: Page) -> None:
    page.type("query", "where do bees live?")
    page.type("passages", "Rates rose.\nBees nest in hollow trees.")
    page.submit("rank-form")
    page.wait_for("ranking", "Place")
    assert page.cells("ranking", "th[scope=row]") == ["Bees nest in hollow trees.", "Rates rose."]
    assert "no prompt for queries" in page.text("ranking")


def test_tokens_that_are_cut_are_marked(page: Page) -> None:
    page.paste("long", "word " * 260 + "\U0001f41d end")
    page.submit("tokens-form")
    assert "the model reads 256" in page.wait_for("token-count", "are cut")
    read = [text for text in page.cells("token-list", "span:not(.cut):not(.special)") if text]
    assert read == ["word"] * 254
    assert page.cells("token-list", "span.cut")[-1] == "end"


def test_live_figures_follow_the_server(page: Page, served: Served) -> None:
    served.embed(["a text"] * 64)
    label = "[aria-label*='Texts a second: now']"
    WebDriverWait(page.driver, WAIT_S, 0.1).until(
        lambda _: page.driver.find_elements(By.CSS_SELECTOR, f"#charts {label}")
    )
    assert len(page.cells("charts", "figure")) == 6


def test_hostile_texts_stay_texts_and_thousands_are_bounded(page: Page) -> None:
    page.paste("texts", f"{HOSTILE}\n" * 5000)
    page.paste("query", HOSTILE)
    page.paste("passages", f"{HOSTILE}\n" * 3)
    page.paste("long", HOSTILE)
    page.submit("compare-form")
    page.wait_for("matrix", "32. <img")
    assert "first 32 of 5000 lines" in page.text("status")
    for form, shown in (("rank-form", "ranking"), ("tokens-form", "token-list")):
        page.submit(form)
        page.wait_for(shown, "<")
    assert page.driver.title != "owned"
    assert page.driver.find_elements(By.CSS_SELECTOR, "img, main script") == []


def test_the_key_is_kept_in_memory_only(page: Page) -> None:
    assert page.driver.find_element(By.ID, "key").get_attribute("value") == ""
    stored = (
        "return [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage), location.href].join()"
    )
    assert KEY not in page.driver.execute_script(stored)
    page.driver.refresh()
    page.wait_for("status", "asks for a key")
    page.console()


def test_a_wrong_key_and_a_refused_text_are_told(page: Page) -> None:
    page.paste("texts", " \n\n")
    page.submit("compare-form")
    page.wait_for("error", "at least one text")
    page.paste("long", "a" * 140_000)
    page.submit("tokens-form")
    assert "the limit is 131072" in page.wait_for("error", "140000")
    page.driver.refresh()
    page.type("key", "wrong" + Keys.ENTER)
    page.wait_for("error", "API key")
    page.console()  # the 422 and the 401s that were asked for


def test_a_model_with_prompts_behind_a_proxy_s_prefix_on_a_phone(driver: WebDriver, tmp_path: Path) -> None:
    tiny.write_model(tmp_path)
    driver.set_window_size(380, 800)
    with serve(
        model=tiny.NAME, models_dir=tmp_path, quantization="fp32", base_path="/api", max_client_batch_size=1
    ) as server:
        root = f"{server.url.rstrip('/')}/api"
        for end in ("", "/"):
            opened = Page(driver, f"{root}{end}")
            opened.wait_for("facts", "Prompt “query”")
            assert not driver.find_element(By.ID, "access").is_displayed(), "this server asks for no key"
            opened.type("query", "cat")
            opened.type("passages", "the dog sat\ncat")
            opened.submit("rank-form")
            opened.wait_for("ranking", "Without prompt")
            assert opened.cells("ranking", "td.number").count("1.000") == 1, (
                "only without the prompt is it the same text"
            )
            overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert driver.execute_script(overflow) <= 0
        assert [url for url in opened.requested() if not url.startswith((root, "data:"))] == []
        assert opened.console() == []
        opened.leave()
