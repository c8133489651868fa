"""Hypothesis profiles, the seed of every run in the header, and a browser for the tests marked so."""

import os
import shutil

import hypothesis
import pytest

# Before NumPy is loaded: its matrices are small here, and a second thread of BLAS beside a second worker only waits, at
# the cost of a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

common = {"deadline": None, "print_blob": True}
hypothesis.settings.register_profile("dev", max_examples=10, database=None, **common)
hypothesis.settings.register_profile("ci", max_examples=60, database=None, **common)
hypothesis.settings.register_profile(
    "full",
    max_examples=1000,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    **common,
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_report_header(config):
    seed = config.getoption("--hypothesis-seed", default=None)
    profile = hypothesis.settings.get_current_profile_name()
    return f"hypothesis profile: {profile}, seed: {'random (printed on failure)' if seed is None else seed}"


@pytest.fixture(scope="session")
def browser():
    """Chromium without a screen, in which every address outside resolves to nothing."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    assert chromium, "no browser: apt-get install chromium chromium-driver"
    assert driver, "no driver for the browser: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1000,900",
                     "--host-resolver-rules=MAP * ~NOTFOUND"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as driver:
        yield driver
