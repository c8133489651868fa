"""Hypothesis profiles, and the seed of every run in the header."""

import os

import hypothesis

common = {"deadline": None, "print_blob": True}
hypothesis.settings.register_profile("dev", max_examples=25, database=None, **common)
hypothesis.settings.register_profile("ci", max_examples=60, database=None, **common)
hypothesis.settings.register_profile(
    "nightly",
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
