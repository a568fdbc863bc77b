"""The site and a report in a real browser: no script error, nothing missing, every picture drawn, narrow enough.

Without Debian's chromium these tests are skipped, unless DRIFTMESH_BROWSER=required; `./install.sh browser` gets it.
"""

from __future__ import annotations

import fcntl
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cases.registry import CASES, get_case
from cases.run import RunRequest, execute

ROOT = Path(__file__).parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
DESKTOP, PHONE = (1280, 900), (390, 844)
BUILD_SECONDS = 240
# Pages of every kind.
PAGES = (
    "",
    "concepts/",
    "concepts/steady/",
    "cases/",
    "cases/l-shape/",
    "cases/monai/",
    "movers/",
    "movers/monge-ampere/",
    "moving_meshes/",
    "validation/",
    "benchmarks/",
    "api/",
    "api/fem/",
    "api/meshing.monge_ampere/",
    "api/fem.problems.shallow_water/",
    "citing/",
)
# Chromium asks the network for nothing of its own.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site, built once for all workers with warnings as errors."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    built = folder / "site"
    with (folder / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (built / "index.html").is_file():
            command = [
                str(Path(sys.executable).parent / "mkdocs"),
                "build",
                "--quiet",
                "--strict",
                "--site-dir",
                str(built),
            ]
            environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS
            )
            if done.returncode:
                shutil.rmtree(built, ignore_errors=True)
            assert done.returncode == 0, done.stderr[-4000:]
    return built


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small run on a moving mesh."""
    out = tmp_path_factory.mktemp("report") / "run"
    case = "l-shape"
    assert execute(RunRequest(case, mover="mmpde", assignments=("rounds=1",), out=out), quiet=True) == "done"
    return out


class Browser:
    """Chromium with what it says on its console and asks of the network."""

    def __init__(self, profile: Path):
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        # The page it begins with asks for things of its own.
        self.driver.get("about:blank")

    def open(self, address: str, size: tuple[int, int]) -> None:
        """Open a page in a window of this width and height, as a device of that width would show it."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
        )
        self.driver.get(address)
        # Pictures further down are loaded when they are needed.
        self.driver.execute_script("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        self.driver.set_script_timeout(20)
        self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "const drawn = Array.from(document.images, image => image.decode().catch(() => 0));"
            "Promise.all([document.fonts.ready, ...drawn])"
            ".then(() => done())"
        )

    def errors(self) -> list[str]:
        """Return what has gone wrong since it was last asked: console, answers, requests to anywhere else."""
        found = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            parameters: dict[str, Any] = event["params"]
            if event["method"] == "Network.responseReceived":
                response = parameters["response"]
                if response["status"] >= 400:
                    found.append(f"{response['status']} {response['url']}")
            elif event["method"] == "Network.requestWillBeSent":
                address = parameters["request"]["url"]
                if not address.startswith(("http://localhost", "http://127.0.0.1", "data:", "blob:", "file:")):
                    found.append(f"asked for {address}")
            elif event["method"] == "Network.loadingFailed" and not parameters.get("canceled"):
                found.append(f"failed: {parameters.get('errorText')}")
        return found

    def blank_pictures(self) -> list[str]:
        """Return the pictures that show nothing."""
        script = "return Array.from(document.images).filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src)"
        return [address[:100] for address in self.driver.execute_script(script)]

    def too_wide(self) -> list[str]:
        """Return what stands out of the window to the right; empty if the page does not scroll sideways."""
        script = """
        const root = document.documentElement, wide = window.innerWidth;
        if (root.scrollWidth <= wide) return [];
        return [root.scrollWidth + ' px'].concat(Array.from(document.querySelectorAll('body *'))
          .filter(e => e.getBoundingClientRect().right > wide + 1).slice(0, 8)
          .map(e => e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 40)));
        """
        return self.driver.execute_script(script)

    def formulas(self) -> tuple[int, int]:
        """Return how many formulas there are, and how many have been typeset without an error."""
        script = (
            "const all = Array.from(document.querySelectorAll('.arithmatex'));"
            "return [all.length, all.filter(e => e.querySelector('.katex') && !e.querySelector('.katex-error')).length]"
        )
        whole, typeset = self.driver.execute_script(script)
        return whole, typeset


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start the browser, once a worker."""
    if not (CHROMIUM and DRIVER):
        missing = "got no chromium and chromedriver in PATH, expected both; run `./install.sh browser`"
        if os.environ.get("DRIFTMESH_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.driver.quit()


@pytest.fixture(scope="session")
def serve() -> Iterator[Any]:
    """Return the function that puts a folder on a free port of this machine: ``serve(folder) -> address``."""
    servers: dict[Path, http.server.ThreadingHTTPServer] = {}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            """Serve files; a page without an icon of its own is asked for one by the browser, not by its author."""
            if self.path == "/favicon.ico":
                self.send_response(204)
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    def put(folder: Path) -> str:
        if folder not in servers:
            handler = functools.partial(Handler, directory=str(folder))
            servers[folder] = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=servers[folder].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[folder].server_address[1]}/"

    yield put
    for server in servers.values():
        server.shutdown()
        server.server_close()


def check(browser: Browser, address: str) -> None:
    """Check a page at both widths."""
    for size in (DESKTOP, PHONE):
        browser.errors()
        browser.open(address, size)
        assert browser.errors() == []
        assert browser.blank_pictures() == []
        whole, typeset = browser.formulas()
        assert typeset == whole
        assert browser.too_wide() == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page or "home")
def test_page(browser: Browser, site: Path, serve: Any, page: str) -> None:
    check(browser, serve(site) + page)
    assert browser.driver.title.endswith("driftmesh")


def test_formulas_are_typeset(browser: Browser, site: Path, serve: Any) -> None:
    for page in ("cases/monai/", "api/fem.problems.shallow_water/", "concepts/"):
        browser.open(serve(site) + page, DESKTOP)
        whole, typeset = browser.formulas()
        assert typeset == whole > 0, page
        fonts = browser.driver.execute_script(
            "return Array.from(document.fonts).filter(f => f.family.startsWith('KaTeX') && f.status == 'loaded').length"
        )
        assert fonts > 0, "formulas stand in fonts of their own"


def test_search_finds(browser: Browser, site: Path, serve: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    browser.errors()
    browser.open(serve(site) + "?q=equidistribution", DESKTOP)
    WebDriverWait(browser.driver, 20).until(
        lambda driver: driver.execute_script("return document.querySelectorAll('.md-search-result__item').length") > 0
    )
    assert browser.errors() == []


def test_report(browser: Browser, report: Path, serve: Any) -> None:
    check(browser, serve(report) + "report.html")
    pictures = browser.driver.execute_script("return document.images.length")
    assert pictures >= 2
    # As people open it, too: a file.
    browser.open((report / "report.html").as_uri(), PHONE)
    assert browser.errors() == [] and browser.blank_pictures() == []


def test_a_fault_is_seen(browser: Browser, tmp_path: Path, serve: Any) -> None:
    """That the checks above can fail: a script error, a missing picture, a wide box, an address elsewhere."""
    (tmp_path / "index.html").write_text(
        "<!DOCTYPE html><title>bad</title><img src='gone.png'><script>nothing()</script>"
        "<div style='width: 2000px'>wide</div><img src='http://elsewhere.invalid/x.png'>"
    )
    browser.errors()
    browser.open(serve(tmp_path), PHONE)
    said = "\n".join(browser.errors())
    assert "nothing is not defined" in said
    assert "404" in said and "gone.png" in said
    assert "asked for http://elsewhere.invalid" in said
    assert len(browser.blank_pictures()) == 2
    assert browser.too_wide()


def test_every_case_has_a_page(site: Path) -> None:
    for name in CASES:
        page = (site / "cases" / name / "index.html").read_text("utf-8")
        mover = " --mover drift" if get_case(name).has_mesh else ""
        assert f"driftmesh run {name}{mover}" in re.sub(r"<[^>]*>", "", page)
        assert "arithmatex" in page, f"{name}: write docs/cases/{name}.md, with its equations"
        assert "figures/cases/" in page, f"{name}: python docs/figures/make_cases.py {name}"
