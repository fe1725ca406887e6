"""Take the picture of docs/DEMO.md: two networks read one text in the tab "compare" of `seqzoo demo`.

python scripts/photograph_demo.py     # needs the extra demo, selenium, Chromium and ChromeDriver
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from seqzoo.runs.demo.serving import served
from seqzoo.runs.demo.shown import shown_runs

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "demo.png"
RUNS = ("pretrained:tiny_shakespeare_lstm", "pretrained:tiny_shakespeare_gru", "pretrained:addition_lstm")
TEXT = "HAMLET: To be, or not"
WIDTH, HEIGHT = 1300, 1250
COLOURS, SECONDS = 64, 120


def photograph(browser: webdriver.Chrome, url: str) -> Image.Image:
    """Let the networks read, and take a picture of the whole window."""
    browser.get(url)
    waiting = WebDriverWait(browser, SECONDS)
    waiting.until(lambda _: browser.find_elements(By.XPATH, "//button[@role='tab'][normalize-space()='compare']"))
    browser.find_element(By.XPATH, "//button[@role='tab'][normalize-space()='compare']").click()
    panels = "//div[@role='tabpanel']"
    panel = waiting.until(lambda _: next(p for p in browser.find_elements(By.XPATH, panels) if p.is_displayed()))
    text = panel.find_element(By.TAG_NAME, "textarea")
    text.clear()
    text.send_keys(TEXT)
    panel.find_element(By.XPATH, ".//button[normalize-space()='Read']").click()
    waiting.until(lambda _: len(panel.find_elements(By.TAG_NAME, "img")) == 2)
    waiting.until(lambda _: not panel.find_elements(By.CSS_SELECTOR, ".generating, .progress-text"))
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def main() -> None:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("headless", "no-sandbox", "disable-background-networking", f"window-size={WIDTH},{HEIGHT}"):
        options.add_argument(f"--{argument}")
    with served(shown_runs(RUNS), "127.0.0.1") as url:
        browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        try:
            picture = photograph(browser, url)
        finally:
            browser.quit()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
