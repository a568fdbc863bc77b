"""Photograph the report of a run on a phone's screen and on a wide one: `python docs/figures/make_report.py`.

Needs Debian's chromium: `./install.sh browser`.
"""

from __future__ import annotations

import shutil
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from cases.run import RunRequest, execute

HERE = Path(__file__).parent
HEIGHT = 1100
WIDTHS = (390, 1180)
GAP = 40


def screens(report: Path) -> list[Image.Image]:
    """Return what a report looks like at each width."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless", "--no-sandbox", "--disable-background-networking", "--hide-scrollbars"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        shots = []
        for width in WIDTHS:
            size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 500}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            driver.get(report.as_uri())
            shots.append(Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB"))
        return shots
    finally:
        driver.quit()


def main() -> None:
    """Run, photograph, and put the screens beside each other."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        execute(RunRequest("l-shape", mover="mmpde", out=out), quiet=True)
        shots = screens(out / "report.html")
    whole = Image.new("RGB", (sum(WIDTHS) + 3 * GAP, HEIGHT + 2 * GAP), "#e9e6df")
    left = GAP
    for shot in shots:
        whole.paste(shot, (left, GAP))
        box = (left - 2, GAP - 2, left + shot.width + 1, GAP + HEIGHT + 1)
        ImageDraw.Draw(whole).rectangle(box, outline="#9a958a", width=2)
        left += shot.width + GAP
    whole.save(HERE / "report.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
