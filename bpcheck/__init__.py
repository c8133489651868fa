"""bpcheck: is this hand-written gradient right? Three independent witnesses answer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bpcheck.rendering import register as _register

# Importing bpcheck loads NumPy and nothing heavier: the rest comes when a name is first used.
_HOMES = {
    "Architecture": "bpcheck.network.architecture",
    "mlp": "bpcheck.network.architecture",
    "Case": "bpcheck.network.case",
    "Conventions": "bpcheck.conventions",
    "BpcheckError": "bpcheck.errors",
    "ArchitectureError": "bpcheck.errors",
    "InputError": "bpcheck.errors",
    "SubjectError": "bpcheck.errors",
    "GradientMismatch": "bpcheck.errors",
    "GradientInconclusive": "bpcheck.errors",
    "Verdict": "bpcheck.verdict",
    "Estimate": "bpcheck.result",
    "Comparison": "bpcheck.result",
    "Diagnosis": "bpcheck.result",
    "Report": "bpcheck.result",
    "Answer": "bpcheck.subject",
    "Subject": "bpcheck.subject",
    "from_joint": "bpcheck.subject",
    "from_parts": "bpcheck.subject",
    "from_step": "bpcheck.subject",
    "from_object": "bpcheck.adapters.object",
    "from_layer": "bpcheck.adapters.layer",
    "from_torch": "bpcheck.adapters.torch",
    "from_torch_optimizer": "bpcheck.adapters.optimizer",
    "from_keras_optimizer": "bpcheck.adapters.optimizer",
    "derivative": "bpcheck.numeric.derivative",
    "check_gradient": "bpcheck.check.gradient",
    "assert_gradient": "bpcheck.check.gradient",
    "check_jvp": "bpcheck.check.vjp",
    "check_vjp": "bpcheck.check.vjp",
    "step_curve": "bpcheck.check.taylor",
    "taylor_remainder": "bpcheck.check.taylor",
    "check_every_entry": "bpcheck.check.every_entry",
    "certify": "bpcheck.check.certify",
    "check_low_precision": "bpcheck.check.low_precision",
    "locate": "bpcheck.check.locate",
    "Location": "bpcheck.check.location",
    "check_line": "bpcheck.symbolic.index",
    "compare": "bpcheck.search",
    "compare_update": "bpcheck.check.update",
    "diagnose": "bpcheck.search",
    "gradient_health": "bpcheck.health",
    "GradientHealth": "bpcheck.health",
}
_WINGS = (
    "layers",
    "network",
    "reference",
    "symbolic",
    "numeric",
    "certified",
    "diagnosis",
    "strategies",
    "adapters",
    "report",
    "course",
    "training",
)

# A report or a derivation does not know what writes or draws it; it looks here for these names.
_register("text", "bpcheck.report.text:render")
_register("hint", "bpcheck.report.text:hint")
_register("derivation", "bpcheck.symbolic.index.document:as_text")
_register("page", "bpcheck.report.page.page:page")
_register("notebook", "bpcheck.report.page.page:fragment")

__version__ = "0.1.0"
__all__ = sorted([*_HOMES, *_WINGS, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _WINGS:
        value = importlib.import_module(f"bpcheck.{name}")
    else:
        raise AttributeError(f"module 'bpcheck' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from bpcheck.adapters.layer import from_layer as from_layer
    from bpcheck.adapters.object import from_object as from_object
    from bpcheck.adapters.optimizer import from_keras_optimizer as from_keras_optimizer
    from bpcheck.adapters.optimizer import from_torch_optimizer as from_torch_optimizer
    from bpcheck.adapters.torch import from_torch as from_torch
    from bpcheck.check.certify import certify as certify
    from bpcheck.check.every_entry import check_every_entry as check_every_entry
    from bpcheck.check.gradient import assert_gradient as assert_gradient
    from bpcheck.check.gradient import check_gradient as check_gradient
    from bpcheck.check.locate import locate as locate
    from bpcheck.check.location import Location as Location
    from bpcheck.check.low_precision import check_low_precision as check_low_precision
    from bpcheck.check.taylor import step_curve as step_curve
    from bpcheck.check.taylor import taylor_remainder as taylor_remainder
    from bpcheck.check.update import compare_update as compare_update
    from bpcheck.check.vjp import check_jvp as check_jvp
    from bpcheck.check.vjp import check_vjp as check_vjp
    from bpcheck.conventions import Conventions as Conventions
    from bpcheck.errors import (
        ArchitectureError as ArchitectureError,
    )
    from bpcheck.errors import (
        BpcheckError as BpcheckError,
    )
    from bpcheck.errors import (
        GradientInconclusive as GradientInconclusive,
    )
    from bpcheck.errors import (
        GradientMismatch as GradientMismatch,
    )
    from bpcheck.errors import (
        InputError as InputError,
    )
    from bpcheck.errors import (
        SubjectError as SubjectError,
    )
    from bpcheck.health import GradientHealth as GradientHealth
    from bpcheck.health import gradient_health as gradient_health
    from bpcheck.network.architecture import Architecture as Architecture
    from bpcheck.network.architecture import mlp as mlp
    from bpcheck.network.case import Case as Case
    from bpcheck.numeric.derivative import derivative as derivative
    from bpcheck.result import Comparison as Comparison
    from bpcheck.result import Diagnosis as Diagnosis
    from bpcheck.result import Estimate as Estimate
    from bpcheck.result import Report as Report
    from bpcheck.search import compare as compare
    from bpcheck.search import diagnose as diagnose
    from bpcheck.subject import Answer as Answer
    from bpcheck.subject import Subject as Subject
    from bpcheck.subject import from_joint as from_joint
    from bpcheck.subject import from_parts as from_parts
    from bpcheck.subject import from_step as from_step
    from bpcheck.symbolic.index import check_line as check_line
    from bpcheck.verdict import Verdict as Verdict
