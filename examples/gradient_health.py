"""Why deep networks used not to train: sigmoid against ReLU on the digits, 20 layers deep, with and without skips.

    python examples/gradient_health.py              # the tables
    python examples/gradient_health.py --figure     # and docs/figures/gradient_health.svg (needs matplotlib)
    python examples/gradient_health.py --train      # and whether they train (two minutes)

docs/gradient_health.md explains what it prints.
"""

import sys
from pathlib import Path

import numpy as np

import bpcheck
from bpcheck.data import load_digits
from bpcheck.layers import Dense, Skip
from bpcheck.reference import build
from bpcheck.reference.initialize import initializer
from bpcheck.reference.optimizer import SGD
from bpcheck.strategies.numbers import fill
from bpcheck.training import fit

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "gradient_health.svg"
DEPTH, WIDTH, EXAMPLES, SEED = 20, 64, 64, 0
DEPTHS = (5, 10, 20, 40)
RULES = ("small_random", "glorot", "lecun", "he", "orthogonal")
# The first 1,500 of the 1,797 images; the rest is held out.
TRAINING, EPOCHS, BATCH = 1500, 5, 32
RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5)

DIGITS = load_digits()
X, Y = DIGITS.images[:EXAMPLES], DIGITS.one_hot[:EXAMPLES]


def without_skips(activation, depth=DEPTH):
    """64 pixels, depth − 1 hidden layers of 64 units, 10 classes."""
    return bpcheck.mlp([WIDTH] * depth + [10], activation=activation, loss="cross_entropy")


def with_skips(activation, depth=DEPTH):
    """The same, each hidden layer but the first added to its own input: x + σ(W x + b)."""
    hidden = [Skip((Dense(WIDTH, activation),))] * (depth - 2)
    layers = (Dense(WIDTH, activation), *hidden, Dense(10, "softmax"))
    return bpcheck.Architecture((WIDTH,), layers, loss="cross_entropy")


# name: network, initialisation (None: he for relu, glorot for sigmoid)
NETWORKS = {
    "sigmoid": (without_skips("sigmoid"), None),
    "sigmoid, skips": (with_skips("sigmoid"), None),
    "relu": (without_skips("relu"), None),
    "relu, skips": (with_skips("relu"), None),
    "relu, skips, small start": (with_skips("relu"), "small_random"),
}
THE_FOUR = tuple(NETWORKS)[:4]


def health(network, rule=None, **options):
    """Gradient health on the digits."""
    return bpcheck.gradient_health(network, x=X, y=Y, initialization=rule, seed=SEED, **options)


def number(value):
    """Two digits."""
    return f"{value:.2g}" if 0.01 <= value < 1000 else f"{value:.1e}"


def table_of_networks():
    """One row a network."""
    rows = [
        f"{'network':<26}{'verdict':<12}{'a layer':>8}{'δ low/last':>12}{'‖J⋯J‖':>10}{'∂C/∂W low/last':>17}"
    ]
    for name, (network, rule) in NETWORKS.items():
        found = health(network, rule)
        low, last = found.layers[0], found.layers[-1]
        ratio = low.weight_gradient_rms / last.weight_gradient_rms
        rows.append(
            f"{name:<26}{found.verdict:<12}{number(found.factor):>8}{number(found.total):>12}"
            f"{number(low.product):>10}{number(ratio):>17}"
        )
    return "\n".join(rows)


def table_of_rules():
    """Factor a layer for each activation and initialisation."""
    rows = [f"{'':<14}" + "".join(f"{name:>20}" for name in ("sigmoid", "tanh", "relu"))]
    for rule in RULES:
        found = [
            health(without_skips(activation), rule, jacobians=0) for activation in ("sigmoid", "tanh", "relu")
        ]
        rows.append(
            f"{rule:<14}" + "".join(f"{number(each.factor):>9} {each.verdict:<10}" for each in found).rstrip()
        )
    return "\n".join(rows)


def table_of_depths():
    """Error of the lowest layer over that of the last one, by depth."""
    rows = [f"{'layers':<14}" + "".join(f"{depth:>20}" for depth in DEPTHS)]
    for activation in ("sigmoid", "tanh", "relu"):
        found = [health(without_skips(activation, depth), jacobians=0) for depth in DEPTHS]
        rows.append(
            f"{activation:<14}"
            + "".join(f"{number(each.total):>9} {each.verdict:<10}" for each in found).rstrip()
        )
    return "\n".join(rows)


def table_of_clipping():
    """What clipping by norm does to a gradient that explodes and to one that vanishes."""
    rows = [
        f"{'clip the norm to 1':<20}{'norm before':>12}{'after':>8}{'∂C/∂W low/last before':>24}{'after':>10}"
    ]
    for name in ("relu, skips", "sigmoid"):
        network, rule = NETWORKS[name]
        (clip,) = health(network, rule, clip_norm=1.0, jacobians=0).clipping
        rows.append(
            f"{name:<20}{number(clip.norm_before):>12}{number(clip.norm_after):>8}"
            f"{number(clip.ratio_before):>24}{number(clip.ratio_after):>10}"
        )
    return "\n".join(rows)


def start(network, rule):
    """Parameters to train from, drawn as gradient_health() draws them."""
    rng = np.random.default_rng(SEED)
    if rule is None:
        return build(network).init(rng)
    draw = initializer(rule)
    return fill(
        network,
        lambda role, shape: draw(rng, shape) if role == "weight" else np.zeros(shape),
    )


def trained(network, rule, rate, epochs=EPOCHS):
    """Loss of the last pass and accuracy on the images held out; NaN where training diverges."""
    x, y = DIGITS.images, DIGITS.one_hot
    run = fit(
        network,
        x[:TRAINING],
        y[:TRAINING],
        rule=SGD(lr=rate),
        epochs=epochs,
        batch=BATCH,
        params=start(network, rule),
        held_out=(x[TRAINING:], y[TRAINING:]),
        seed=SEED,
    )
    return (np.nan, np.nan) if run.stopped else (run.last.loss, run.last.held_out_accuracy)


def table_of_training():
    """Each network at the learning rate that suits it best."""
    rows = [f"{'network':<26}{'best rate':>10}{'loss':>8}{'read right':>12}"]
    for name, (network, rule) in NETWORKS.items():
        runs = {rate: trained(network, rule, rate) for rate in RATES}
        rate = max(RATES, key=lambda rate: np.nan_to_num(runs[rate][1]))
        loss, right = runs[rate]
        rows.append(f"{name:<26}{rate:>10g}{loss:>8.2f}{right:>12.0%}")
    return "\n".join(rows)


def draw(path):
    """Errors and activations of the four, layer by layer."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    with mpl.rc_context({"svg.hashsalt": "bpcheck", "svg.fonttype": "none", "font.size": 9}):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 4.0), layout="constrained")
        for name in THE_FOUR:
            found = health(*NETWORKS[name], jacobians=0)
            found.plot(left, label=name)
            drawn = left.lines[-1]
            right.plot(
                [layer.number for layer in found.layers],
                [layer.activation_rms for layer in found.layers],
                color=drawn.get_color(),
                marker=drawn.get_marker(),
                markersize=4,
                linewidth=1.2,
            )
        right.set_yscale("log")
        right.set_title("What goes up", fontsize=left.title.get_fontsize(), loc="left")
        right.set_xlabel("layer (the input comes from the left)")
        right.set_ylabel("activation a, root mean square")
        right.xaxis.set_major_locator(left.xaxis.get_major_locator().__class__(nbins=12, integer=True))
        right.grid(True, color="#E4E4E4", linewidth=0.7)
        right.set_axisbelow(True)
        right.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def main():
    print(health(*NETWORKS["sigmoid"]), end="\n\n")
    print(f"{DEPTH} layers of {WIDTH} units, {EXAMPLES} digits, seed {SEED}\n")
    for table in (table_of_networks, table_of_rules, table_of_depths, table_of_clipping):
        print(table(), end="\n\n")
    if "--train" in sys.argv[1:]:
        print(table_of_training())
    if "--figure" in sys.argv[1:]:
        draw(FIGURE)


if __name__ == "__main__":
    main()
