"""The page of `seqzoo demo` in a real browser."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from seqzoo.runs.demo.shown import shown_runs

pytestmark = pytest.mark.slow

SHOWN = """
const [panel] = [...document.querySelectorAll("div[role=tabpanel]")].filter(part => part.checkVisibility());
return [[...panel.querySelectorAll("textarea")].map(area => area.value), panel.querySelectorAll("img").length];
"""
OPEN = """
const [tab] = [...document.querySelectorAll("button[role=tab]")].filter(tab => tab.textContent.trim() == arguments[0]);
if (tab) tab.click();
return Boolean(tab);
"""
PRESS = """
const [panel] = [...document.querySelectorAll("div[role=tabpanel]")].filter(part => part.checkVisibility());
[...panel.querySelectorAll("button")].filter(button => button.textContent.trim() == arguments[0])[0].click();
"""


def test_tabs_answer_and_nothing_is_requested_from_elsewhere(browser: Any) -> None:
    pytest.importorskip("gradio", reason="the demo needs gradio: pip install 'seqzoo[demo]'")
    from selenium.webdriver.support.ui import WebDriverWait

    from seqzoo.runs.demo.serving import served

    names = ("addition_lstm", "jsb_chorales_lstm", "tiny_shakespeare_lstm")
    with served(shown_runs([f"pretrained:{name}" for name in names]), "127.0.0.1") as url:
        browser.get(url)
        waiting = WebDriverWait(browser, 60)

        def answered(tab: str, button: str, pictures: int) -> list[str]:
            """The texts of a tab after a press of a button, when it shows this number of pictures."""
            waiting.until(lambda _: browser.execute_script(OPEN, tab))
            waiting.until(lambda _: browser.execute_script(SHOWN)[0])
            before = browser.execute_script(SHOWN)[0]
            browser.execute_script(PRESS, button)
            waiting.until(
                lambda _: (
                    browser.execute_script(SHOWN)[1] == pictures
                    and (pictures or browser.execute_script(SHOWN)[0] != before)
                )
            )
            return browser.execute_script(SHOWN)[0]

        assert answered("addition_lstm", "Answer", 0) == ["535+61", "596"]
        assert answered("jsb_chorales_lstm", "Answer", 1)
        assert len(answered("tiny_shakespeare_lstm", "Answer", 0)[1]) > 50
        assert answered("compare", "Read", 2)[1] == "535+61 -> 596"
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = {
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    }
    assert {urlsplit(address).netloc for address in requested if address.startswith(("http", "ws"))} == {
        urlsplit(url).netloc
    }
