"""What the default test suite costs: CPU seconds (user and system, with those of child processes) by folder.

``python tools/suite_cost.py`` runs the default suite in one process. ``--by file`` or ``--by test`` looks closer, and
whatever else is given goes to pytest: ``python tools/suite_cost.py --by file tests/search -m full``.

Seconds of CPU, and not those of a clock on the wall, because a busy machine changes the second and hardly the first.
"""

import argparse
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import PurePosixPath

import pytest

PHASES = ("setup", "call", "teardown")


def spent() -> float:
    """CPU seconds of this process and of every child that has ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def place(nodeid: str, by: str) -> str:
    """Where a test's seconds are booked: its folder (two levels deep), its file, or itself."""
    file = nodeid.partition("::")[0]
    if by == "folder":
        return "/".join(PurePosixPath(file).parent.parts[:2])
    return file if by == "file" else nodeid


class Cost:
    """A pytest plugin that books CPU seconds: start (imports and plugins), collection, and each phase of each test."""

    def __init__(self, by: str) -> None:
        self.by = by
        self.collection = 0.0
        self.start = 0.0
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(PHASES, 0.0))
        self.tests: dict[str, int] = defaultdict(int)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """What came before is the start; then modules are imported and their tests listed."""
        before = spent()
        self.start = before
        result = yield
        self.collection = spent() - before
        return result

    def _book(self, item: pytest.Item, phase: str) -> Generator[None, object, object]:
        before = spent()
        try:
            return (yield)
        finally:
            self.seconds[place(item.nodeid, self.by)][phase] += spent() - before

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around what pytest's own plugins do
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fixtures."""
        self.tests[place(item.nodeid, self.by)] += 1
        return (yield from self._book(item, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around what pytest's own plugins do
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """The test itself."""
        return (yield from self._book(item, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around what pytest's own plugins do
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """The end of fixtures."""
        return (yield from self._book(item, "teardown"))

    def table(self) -> str:
        """One line a place, the dearest first; then what belongs to no test, and the sum."""
        rows = sorted(self.seconds.items(), key=lambda row: -sum(row[1].values()))
        lines = [f"{'CPU s':>8} {'tests':>6} {'fixtures':>9}  where"]
        for where, phases in rows:
            fixtures = phases["setup"] + phases["teardown"]
            lines.append(f"{sum(phases.values()):8.2f} {self.tests[where]:6d} {fixtures:9.2f}  {where}")
        booked = sum(sum(phases.values()) for phases in self.seconds.values()) + self.start + self.collection
        for name, seconds in (
            ("start and imports", self.start),
            ("collection", self.collection),
            ("between the tests", spent() - booked),
        ):
            lines.append(f"{seconds:8.2f} {'':6} {'':9}  {name}")
        lines.append(f"{spent():8.2f} {sum(self.tests.values()):6d} {'':9}  in all")
        return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the suite in one process and print what each part of it cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--by", choices=("folder", "file", "test"), default="folder")
    own, others = parser.parse_known_args(argv)
    cost = Cost(own.by)
    code = pytest.main(["-n", "0", "-q", *others], plugins=[cost])
    print(cost.table())
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
