"""The page of all derivations in a real browser without a network: formulas are drawn, nothing is asked for."""

import pytest

from bpcheck.symbolic.index import html_page
from derivations import COURSE, load
from derivations.run import TITLE

pytestmark = pytest.mark.browser


def test_the_page_draws_every_formula_and_asks_nobody(browser, tmp_path):
    derivations = [derivation for name in COURSE for derivation in load(name)]
    page = tmp_path / "derivations.html"
    page.write_text(html_page(derivations, TITLE), encoding="utf-8")
    browser.get(page.as_uri())
    assert browser.title == TITLE
    formulas = browser.find_elements("css selector", ".formula math")
    assert len(formulas) == sum(len(derivation.steps) + 1 for derivation in derivations)
    sizes = [formula.size for formula in formulas]
    # the lowest line of all is v_1 by itself, 13 high: a letter without a rise, and what is below it
    assert all(size["height"] >= 13 and size["width"] >= 10 for size in sizes)
    # a fraction is higher than a line: MathML is laid out, and not shown as text
    tall = [f.size["height"] for f in formulas if f.find_elements("css selector", "mfrac")]
    plain = [f.size["height"] for f in formulas if not f.find_elements("css selector", "mfrac, munder")]
    assert min(tall) > max(plain)
    # nothing sticks out of the page to the side
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []
