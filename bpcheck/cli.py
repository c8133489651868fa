"""The command line: ``bpcheck demo`` and ``bpcheck compare file.py:function``. No logic of its own."""

from __future__ import annotations

import argparse
import io
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from bpcheck import __version__
from bpcheck.conventions import PRESETS
from bpcheck.errors import InputError
from bpcheck.listing import listing
from bpcheck.network.architecture import LOSSES, REDUCTIONS, mlp
from bpcheck.network.layers.activations import ACTIVATIONS
from bpcheck.process import Outcome, Task, run
from bpcheck.result import SCHEMA_VERSION
from bpcheck.search.cases.sources import Pins
from bpcheck.verdict import Verdict

__all__ = ["main"]

AGREES, WRONG, USAGE, UNDECIDED = 0, 1, 2, 3

# A comparison takes a second or two; a minute allows for slow subjects and slow machines.
DEFAULT_TIMEOUT = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0 agrees; 1 wrong (disagrees, not finite, wrong structure, the subject raised); 2 usage;
        3 inconclusive.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Greek letters is no reason to fail
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except InputError as error:
        print(f"bpcheck: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader of our output has gone: `bpcheck demo | head`
        return UNDECIDED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bpcheck", description="Is this hand-written gradient right? Three independent witnesses answer."
    )
    parser.add_argument("--version", action="version", version=f"bpcheck {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="train on digits, check every gradient entry, compare two students"
    )
    demo.add_argument(
        "--seed", type=whole_number, default=0, help="for weights, shuffling and networks (default 0)"
    )
    demo.set_defaults(run=_demo)
    compare = commands.add_parser(
        "compare",
        help="compare your backprop with the reference",
        description=(
            "Compare function(params, x, y) -> (loss, gradients) with the reference on random networks. "
            "Without --activation, --output, --loss or --reduction they are inferred from the loss; naming one of "
            "them pins all (what is left out is tanh, the loss's own output, half_mse, mean)."
        ),
        epilog="Exit code: 0 agrees, 1 wrong, 2 usage, 3 inconclusive.",
    )
    compare.add_argument(
        "subject",
        metavar="FILE.py:FUNCTION",
        help="a Python file and a function in it; without a function, what there is to compare in the file",
    )
    compare.add_argument("--activation", choices=ACTIVATIONS, help="of the hidden layers")
    compare.add_argument("--output", choices=ACTIVATIONS, help="activation of the output")
    compare.add_argument("--loss", choices=LOSSES)
    compare.add_argument("--reduction", choices=REDUCTIONS, help="over the batch")
    compare.add_argument(
        "--conventions",
        choices=("infer", *PRESETS),
        default="infer",
        help="layout of parameters and examples (default: infer it)",
    )
    for option, what in (
        ("--ignore", "a frozen tensor, not judged, by its path in the report"),
        ("--approximate", "a tensor that is an approximation on purpose: measured, not judged"),
    ):
        compare.add_argument(
            option, action="append", metavar="PATH", help=f"{what} (may be given several times)"
        )
    compare.add_argument("--widths", type=widths, metavar="2,3,1", help="fix the units of every layer")
    compare.add_argument("--batch", type=positive_number, help="fix the number of examples a batch")
    compare.add_argument(
        "--examples", type=positive_number, default=100, help="number of random cases (default 100)"
    )
    compare.add_argument("--seed", type=whole_number, help="the same seed gives the same report")
    compare.add_argument(
        "--resolution", type=float, help="relative error that must be visible (default 1e-3)"
    )
    compare.add_argument(
        "--timeout",
        type=seconds,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"end the function's process after this long (default {DEFAULT_TIMEOUT:g})",
    )
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON too")
    compare.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write the report as a page too, with the network to step through",
    )
    compare.set_defaults(run=_compare)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from bpcheck.demo import show

    return AGREES if show(seed=options.seed) else WRONG


def _compare(options: argparse.Namespace) -> int:
    file, function = _named(options.subject)
    if told := listing(file, function):
        print(told)
        return USAGE
    for option, path in (("--json", options.json), ("--html", options.html)):
        if path is not None:
            _can_be_written(option, path)  # before the work, not after it
    outcome = run(_task(options, file, function), timeout=options.timeout)
    _write(options, outcome)
    if outcome.report is None:
        print(f"bpcheck: {outcome.error}", file=sys.stderr)
        return USAGE if outcome.usage else WRONG
    print(outcome.report)
    if outcome.report.verdict is Verdict.INCONCLUSIVE:
        return UNDECIDED
    return AGREES if outcome.report.ok else WRONG


def _task(options: argparse.Namespace, file: str, function: str) -> Task:
    return Task(
        file=str(Path(file).resolve()),
        function=function,
        pins=_pins(options),
        resolution=options.resolution,
        examples=options.examples,
        # drawn here, so that it is known even if the child never answers
        seed=secrets.randbits(32) if options.seed is None else options.seed,
        conventions=options.conventions,
        ignore=tuple(options.ignore or ()),
        approximate=tuple(options.approximate or ()),
    )


def _write(options: argparse.Namespace, outcome: Outcome) -> None:
    """The report as JSON and as a page, where that is asked for."""
    if options.json is not None:
        try:
            options.json.write_text(_as_json(outcome), encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {str(options.json)!r} cannot be written: {error.strerror}.") from error
    if options.html is not None and outcome.report is not None:
        outcome.report.to_html(options.html)
    elif options.html is not None:
        print("bpcheck: there is no report, so --html wrote nothing.", file=sys.stderr)


def _named(subject: str) -> tuple[str, str]:
    """The file, and the function in it, if one is named."""
    file, colon, function = subject.rpartition(":")
    if not colon or Path(subject).is_file():
        file, function = subject, ""
    if not Path(file).is_file():
        raise InputError(f"there is no file {file!r}.")
    if function and not all(part.isidentifier() for part in function.split(".")):
        raise InputError(f"{subject!r} does not name a function: write path/to/file.py:function.")
    return file, function


def _can_be_written(option: str, path: Path) -> None:
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError(f"{option} {str(path)!r}: there is no folder {str(folder)!r}.")
    if path.is_dir():
        raise InputError(f"{option} {str(path)!r} is a folder; name a file in it.")


def _pins(options: argparse.Namespace) -> Pins:
    named = {
        name: getattr(options, name)
        for name in ("activation", "output", "loss", "reduction")
        if getattr(options, name) is not None
    }
    template = mlp(options.widths or (3, 3, 2), **named) if named else None
    return Pins(template, options.widths, options.batch)


def _as_json(outcome: Outcome) -> str:
    if outcome.report is not None:
        return outcome.report.to_json() + "\n"
    return (
        json.dumps(
            {"schema_version": SCHEMA_VERSION, "verdict": None, "ok": False, "error": outcome.error}, indent=2
        )
        + "\n"
    )


def whole_number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def positive_number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write whole numbers with commas, such as 2,3,1"
        ) from None
    if len(widths) < 2 or min(widths) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: at least input and output are needed, each 1 or more")
    return widths


if __name__ == "__main__":
    sys.exit(main())
