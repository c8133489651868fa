"""The page of a report in a real browser that has no network: steps, keys, both colour schemes, narrow windows."""

import json

import pytest
from samples import sample

pytestmark = pytest.mark.browser

SAMPLES = [
    "2-3-2",
    "one entry",
    "agrees",
    "inconclusive",
    "black box",
    "structure",
    "not finite",
    "kink",
    "large",
    "skip",
    "nested skips",
    "conv1d",
    "conv2d",
    "skip around conv",
    "large conv",
]


@pytest.fixture
def window(browser):
    """The browser, with a size and a colour scheme that are put back afterwards."""

    def set_up(*, width=1280, scheme="light"):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    yield set_up
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def load(browser, name, folder):
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # forget what came before
    file = folder / "report.html"
    sample(name).to_html(file)
    browser.get(file.as_uri())
    return file


def quiet(browser, file):
    """No error on the console, and nothing asked for but the file itself."""
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert asked == [file.as_uri()]


def step(browser):
    return browser.execute_script("return document.querySelector('.count').textContent")


def title(browser):
    return browser.execute_script("return document.querySelector('.steps li:not([hidden]) .title').innerText")


def seen(browser, selector):
    """How many elements of the drawing that is shown can be seen."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter(n => n.getClientRects().length"
        " && getComputedStyle(n).visibility === 'visible').length",
        selector,
    )


def press(browser, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def click(browser, name):
    browser.find_element("css selector", f'[data-go="{name}"]').click()


@pytest.mark.parametrize("name", SAMPLES)
def test_it_loads_alone_without_an_error(browser, window, tmp_path, name):
    window()
    file = load(browser, name, tmp_path)
    assert browser.find_element("tag name", "h1").text
    quiet(browser, file)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out_of_the_window(browser, window, tmp_path, name, width):
    window(width=width)
    load(browser, name, tmp_path)
    browser.execute_script("document.querySelectorAll('details').forEach(node => { node.open = true; })")
    wide, room = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room


def test_it_starts_at_the_first_wrong_step_and_the_buttons_lead_on(browser, window, tmp_path):
    window()
    file = load(browser, "2-3-2", tmp_path)
    assert step(browser) == "step 9 of 10"
    assert title(browser).startswith("backward, layer 2")
    assert "BP2" in title(browser)
    click(browser, "first")
    assert step(browser) == "step 1 of 10"
    assert title(browser).startswith("forward, layer 1")
    titles = [title(browser)]
    for _ in range(9):
        click(browser, "next")
        titles.append(title(browser))
    assert len(set(titles)) == 10
    assert [t.partition(",")[0] for t in titles] == ["forward"] * 6 + ["backward"] * 4
    click(browser, "next")
    assert step(browser) == "step 10 of 10"  # the end
    click(browser, "back")
    assert step(browser) == "step 9 of 10"
    click(browser, "wrong")
    click(browser, "last")
    assert step(browser) == "step 10 of 10"
    click(browser, "wrong")
    assert step(browser) == "step 9 of 10"
    quiet(browser, file)


def test_what_is_not_computed_yet_cannot_be_seen(browser, window, tmp_path):
    window()
    load(browser, "2-3-2", tmp_path)
    click(browser, "first")
    counts = []
    for _ in range(10):
        # the numbers of the boxes, and the crosses of wrong gradients
        counts.append((seen(browser, ".network .value"), seen(browser, ".network .bad")))
        click(browser, "next")
    values = [count for count, _ in counts]
    # x; z and a of three units; z and a of two; the targets; δ of two; δ of three, yours and right
    assert values == [2, 5, 8, 10, 12, 14, 16, 16, 22, 22]
    assert [bad for _, bad in counts][:8] == [0] * 8
    assert counts[8][1] == 3  # the wrong δ
    assert counts[9][1] > 3  # and the wrong gradients


@pytest.mark.parametrize(
    "name", ["skip", "nested skips", "conv1d", "conv2d", "skip around conv", "large conv"]
)
def test_every_step_of_any_network_shows_something_new(browser, window, tmp_path, name):
    window()
    file = load(browser, name, tmp_path)
    click(browser, "first")
    total = int(step(browser).split()[-1])
    titles, framed = [], []
    for number in range(total):
        assert step(browser) == f"step {number + 1} of {total}"
        titles.append(title(browser))
        framed.append(seen(browser, ".network .window"))
        if "(not drawn)" not in titles[-1] and "∂C/∂b" not in titles[-1]:
            assert seen(browser, ".network .now, .network [data-during]"), titles[-1]
        click(browser, "next")
    assert len(set(titles)) == total
    # frames stand at the steps of convolutions that they belong to, and nowhere else
    kernels = [
        ("Σ W" in text and "∂C/∂a" not in text) or ("∂C/∂W" in text and "[o, c" in text) for text in titles
    ]
    assert [count > 0 for count in framed] == kernels
    quiet(browser, file)


@pytest.mark.parametrize(
    "name", ["skip", "nested skips", "conv1d", "conv2d", "skip around conv", "large conv"]
)
def test_texts_of_the_drawing_do_not_lie_on_one_another(browser, window, tmp_path, name):
    window(width=2400)
    load(browser, name, tmp_path)
    click(browser, "last")
    hits = browser.execute_script("""
      const texts = [...document.querySelectorAll("div:not([hidden]) > svg.network text")]
        .filter(n => getComputedStyle(n).visibility === "visible");
      const boxes = texts.map(n => [n.getBoundingClientRect(), n.textContent, n.classList.contains("weight")]);
      const found = [];
      boxes.forEach(([a, one, edge], i) => boxes.slice(0, i).forEach(([b, other, line]) => {
        if (edge && line) return;  // weights on lines that cross may touch
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1 && high > 4) found.push([one, other, wide, high]);
      }));
      return found;""")
    assert hits == []


def test_the_arrow_keys_step_and_leave_a_selection_alone(browser, window, tmp_path):
    from selenium.webdriver.common.keys import Keys

    window()
    file = load(browser, "2-3-2", tmp_path)
    press(browser, Keys.ARROW_LEFT)
    assert step(browser) == "step 8 of 10"
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert step(browser) == "step 10 of 10"
    browser.find_element("css selector", '[data-choose="example"]').send_keys(Keys.ARROW_LEFT)
    assert step(browser) == "step 10 of 10"
    quiet(browser, file)


def test_everything_can_be_reached_by_tab_in_the_order_of_the_page_and_its_focus_is_seen(
    browser, window, tmp_path
):
    from selenium.webdriver.common.keys import Keys

    window()
    load(browser, "2-3-2", tmp_path)
    wanted = browser.execute_script(
        "return [...document.querySelectorAll('button, select, summary, [tabindex=\"0\"]')]"
        ".filter(n => n.checkVisibility()).length"  # what is folded cannot be reached
    )
    places = []
    for _ in range(wanted):
        press(browser, Keys.TAB)
        places.append(
            browser.execute_script(
                "const n = document.activeElement, s = getComputedStyle(n);"
                "return [[...document.querySelectorAll('*')].indexOf(n), s.outlineStyle, parseFloat(s.outlineWidth),"
                " n.getAttribute('aria-label') || n.textContent.trim() || (n.labels && n.labels[0].textContent)]"
            )
        )
    order = [place for place, *_ in places]
    assert order == sorted(set(order))  # in the order of the page, each once
    for _, style, size, name in places:
        assert style == "solid"
        assert size >= 2
        assert name


def test_a_button_at_the_end_keeps_the_focus(browser, window, tmp_path):
    from selenium.webdriver.common.keys import Keys

    window()
    load(browser, "2-3-2", tmp_path)
    button = browser.find_element("css selector", '[data-go="next"]')
    button.send_keys(Keys.ENTER)
    button.send_keys(Keys.SPACE)
    assert step(browser) == "step 10 of 10"
    assert browser.switch_to.active_element == button
    assert button.get_attribute("aria-disabled") == "true"
    press(browser, Keys.ARROW_LEFT)
    assert button.get_attribute("aria-disabled") == "false"


def test_another_example_shows_other_numbers(browser, window, tmp_path):
    from selenium.webdriver.support.ui import Select

    window()
    load(browser, "2-3-2", tmp_path)

    def shown():
        return browser.execute_script(
            "return [...document.querySelectorAll('.network .value, .steps td')]"
            ".filter(n => n.getClientRects().length).map(n => n.textContent)"
        )

    first = shown()
    Select(browser.find_element("css selector", '[data-choose="example"]')).select_by_value("2")
    assert shown() != first
    assert len(shown()) == len(first)
    assert seen(browser, ".board, svg.network") == 1


@pytest.mark.parametrize("name", ["2-3-2", "one entry", "black box"])
def test_wrong_cells_are_marked_by_a_sign_and_not_by_colour_alone(browser, window, tmp_path, name):
    from bpcheck.report.page.wrong import wrong_entries

    window()
    load(browser, name, tmp_path)
    expected = sum(int(wrong_entries(c).sum()) for c in sample(name).comparisons)
    cells = browser.find_elements("css selector", ".tensor td.bad")
    assert len(cells) == expected
    for cell in cells:
        assert cell.text.startswith("✗ ")
        assert "(wrong)" in cell.get_attribute("textContent")
    assert not [c for c in browser.find_elements("css selector", ".tensor td:not(.bad)") if "✗" in c.text]
    crosses = browser.execute_script(
        "return [...document.querySelectorAll('.heat .cross')].map(n => n.getAttribute('d').split('M').length - 1)"
    )
    assert sum(crosses) == expected


# Relative luminance and contrast as WCAG 2.2 defines them.
CONTRAST = """
const parse = text => text.match(/[\\d.]+/g).map(Number);
const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
function paper(node) {
  for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
}
const poor = [];
for (const node of document.querySelectorAll("main *")) {
  const words = [...node.childNodes].filter(n => n.nodeType === 3 && n.textContent.trim()).length;
  if (!words || !node.getClientRects().length) continue;
  const inside = node.closest("svg"), style = getComputedStyle(node);
  const ink = parse(inside ? style.fill : style.color);
  const box = inside && node.closest(".box");
  const under = box ? parse(getComputedStyle(box.querySelector("rect")).fill) : paper(inside || node);
  const [high, low] = [light(ink), light(under)].sort((a, b) => b - a);
  if ((high + 0.05) / (low + 0.05) < 4.5) poor.push([node.tagName, node.textContent, ink, under]);
}
return poor;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["2-3-2", "agrees", "inconclusive", "black box", "skip", "conv2d", "skip around conv"]
)
def test_all_text_can_be_read_in_light_and_in_dark(browser, window, tmp_path, name, scheme):
    window(scheme=scheme)
    load(browser, name, tmp_path)
    browser.execute_script("document.querySelectorAll('details').forEach(node => { node.open = true; })")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}[scheme]
    assert browser.execute_script(CONTRAST) == []


def test_the_contrast_that_is_measured_can_fail(browser, window, tmp_path):
    window()
    load(browser, "agrees", tmp_path)
    browser.execute_script("document.querySelector('main').style.setProperty('--soft', '#aaaaaa')")
    assert browser.execute_script(CONTRAST)


def test_the_case_is_copied(browser, window, tmp_path):
    window()
    load(browser, "2-3-2", tmp_path)
    grant = {"origin": "file://", "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", grant)
    button = browser.find_element("css selector", "[data-copy]")
    button.click()
    status = browser.find_element("css selector", ".reproducer [role=status]")
    browser.execute_async_script("setTimeout(arguments[0], 200)")
    assert status.text == "Copied."
    copied = browser.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], e => arguments[0]('' + e))"
    )
    assert copied == sample("2-3-2").reproducer


def test_tables_have_headers_and_pictures_have_names(browser, window, tmp_path):
    window()
    load(browser, "2-3-2", tmp_path)
    bad = browser.execute_script(
        "return [...document.querySelectorAll('table')].filter(t => !t.querySelector('th[scope]') || !t.caption).length"
        " + [...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length"
    )
    assert bad == 0


def test_without_a_script_everything_is_there(browser, window, tmp_path):
    window()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        load(browser, "2-3-2", tmp_path)
        visible = [row for row in browser.find_elements("css selector", ".steps li") if row.is_displayed()]
        assert len(visible) == 10
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_notebook_keeps_its_own_styles(browser, window, tmp_path):
    window()
    outside = (
        "<h1>mine</h1><p>mine <code>x</code> <button>b</button></p><table><tr><td>1</td></tr></table><pre>y</pre>"
        '<svg width="20" height="20"><text class="bad">t</text></svg><ul><li>z</li></ul><div class="bad scroll">w</div>'
    )
    look = (
        "return [...document.querySelectorAll('#mine *')].map(n => { const s = getComputedStyle(n);"
        " return [n.tagName, s.color, s.background, s.font, s.padding, s.margin, s.border, s.fill, s.overflow].join(); })"
    )
    looks = []
    for name, cell in (("without", ""), ("with", sample("2-3-2")._repr_html_())):
        file = tmp_path / f"{name}.html"
        file.write_text(
            f"<!doctype html><meta charset=utf-8><div id=mine>{outside}</div>{cell}", encoding="utf-8"
        )
        browser.get(file.as_uri())
        looks.append(browser.execute_script(look))
    assert looks[0] == looks[1]
    assert browser.find_elements("css selector", ".bpcheck-report svg.network")


@pytest.mark.parametrize("theme", ["true", "false"])
def test_a_cell_can_be_read_in_a_light_and_in_a_dark_notebook(browser, window, tmp_path, theme):
    window()
    file = tmp_path / "cell.html"
    cell = sample("2-3-2")._repr_html_()
    body = f'<body data-jp-theme-light="{theme}" style="background:#777;color:#888"><main>{cell}</main>'
    file.write_text(f"<!doctype html><meta charset=utf-8>{body}", encoding="utf-8")
    browser.get(file.as_uri())
    paper = browser.execute_script(
        "return getComputedStyle(document.querySelector('.bpcheck-report')).backgroundColor"
    )
    assert paper == {"true": "rgb(255, 255, 255)", "false": "rgb(22, 24, 27)"}[theme]
    assert browser.execute_script(CONTRAST) == []
