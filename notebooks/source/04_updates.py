# %% [markdown]
r"""
# From gradient to learning: updates and gradient health

The first three notebooks end with a gradient that is right. This one is about what is done with it: the step, its size, its memory, and what can
go wrong although every digit of the gradient is correct. The last part holds what two introductory texts say about training against
experiments that run here in seconds.

You need notebooks 1 to 3, or what they teach, and about an hour: a long half for sections 1 to 4, a short one for 5 and 6.
"""

# %%
import importlib.util
from pathlib import Path

spec = importlib.util.find_spec("bpcheck")
if spec is None or spec.origin is None:  # not installed (a mere folder of that name has no origin)
    from IPython import get_ipython

    here = Path.cwd()
    folders = [here, here.parent, *sorted(here.glob("bpcheck*/"))]
    found = sorted(here.glob("bpcheck-*.whl"))
    found += [folder for folder in folders if (folder / "bpcheck" / "__init__.py").exists()]
    if not found:
        raise ModuleNotFoundError(
            "bpcheck is not installed, and neither a clone of its repository nor a wheel of it lies here. "
            "On your own machine: open this notebook from the folder notebooks/ of a clone. In Colab: upload a wheel "
            "(bpcheck-….whl, see notebooks/README.md) with the folder symbol on the left, or clone the repository "
            "with !git clone. Then run this cell again."
        )
    get_ipython().run_line_magic("pip", f'install -q "{found[0]}"')

# %%
import numpy as np

import bpcheck
from bpcheck.course import experiments
from bpcheck.course import update_figures as figures
from bpcheck.course import updates as check
from bpcheck.reference.optimizer import (
    SGD,
    Adam,
    AdamW,
    Clipped,
    Momentum,
    Nesterov,
    RMSprop,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from bpcheck.training import EarlyStopping

# %% [markdown]
r"""
## 1. The step

$$w \leftarrow w - \eta\, g, \qquad g = \frac{\partial C}{\partial w}.$$

Why against the gradient, and why this far? Near $w$ the cost is $C(w) + g^\mathsf{T} d$ to first order. Alone, that has no minimum: going further is
always better. But first order is true only nearby, so put a price on the length of the step, and minimise

$$g^\mathsf{T} d + \frac{1}{2\eta} \lVert d \rVert^2.$$

Its derivative by $d$ is $g + d/\eta$, which is zero at $d = -\eta g$. So $\eta$ is the inverse of a price: a small one says that first order is not
to be trusted far. Every line of this, and that no step of the same length goes down further (Cauchy and Schwarz), is checked in
`python -m derivations.steepest_descent`. Another measure of length gives another direction: to divide the entries by different numbers, as RMSprop
and Adam do, is such another measure.

How large may $\eta$ be? Where the cost is a bowl with curvature $h$, $C = \frac12 h w^2$, the gradient is $hw$ and a step multiplies $w$ by
$1 - \eta h$. In several directions, each has a factor of its own. Here are two, with curvatures 1 and 10, after 50 steps:
"""

# %%
curvature = np.array([1.0, 10.0])
for eta in (0.001, 0.05, 0.18, 0.2, 0.21):
    w, rule = np.array([1.0, 1.0]), SGD(lr=eta)
    state = rule.init(w)
    for _ in range(50):
        w, state = rule.step(w, curvature * w, state)
    shallow, steep = 1 - eta * curvature
    print(
        f"η = {eta:5}: factors {shallow:.3f} and {steep:6.3f}, w after 50 steps = ({w[0]:8.2g}, {w[1]:8.2g})"
    )

# %% [markdown]
r"""
Too small and nothing happens; too large and the *steep* direction diverges, while the shallow one would have liked more. The figure has both sliders;
leave $\mu$ at 0 for now.
"""

# %%
figures.descent_figure()

# %% [markdown]
r"""
Things to try:

1. Find the $\eta$ at which the steep direction is done in one step. Why is that not the best one?
2. Find the best $\eta$ without momentum, then turn $\mu$ up and find a better pair.
3. From which $\eta$ on does it diverge? Does momentum move that limit?

### Exercise 1: the largest rate and the best one

Curvatures $0 < \text{low} \le \text{high}$. Which $\eta$ must not be exceeded? And with which is the *larger* of the two factors
$|1 - \eta\,\text{low}|$, $|1 - \eta\,\text{high}|$ as small as it can be?
"""


# %% tags=["exercise"]
def bowl_rates(low, high):
    largest = ...
    best = ...
    return largest, best


check.bowl_rates(bowl_rates)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def bowl_rates(low, high):
    largest = 2 / high
    best = 2 / (low + high)
    return largest, best
```

At the best rate the shallow factor $1 - \eta\,\text{low}$ and the steep one $\eta\,\text{high} - 1$ are equal, $(\kappa - 1)/(\kappa + 1)$ with
$\kappa = \text{high}/\text{low}$. So the *ratio* of the curvatures decides how many steps it takes. A network has neither one curvature nor a
constant one, and nobody knows its $\kappa$; rates are found by trying.

</details>
"""

# %% [markdown]
r"""
## 2. One example, a few, all

$C$ is a mean over $N$ examples. Its gradient costs $N$ backward passes, and then allows one step. A **mini-batch** of $m$ examples, drawn at
random, gives a gradient that is right *on average* and costs $m$. How far off is it? Measured on 1400 digits, for a network of 64-32-10 units
at its start:
"""

# %%
figures.noise_figure()

# %% [markdown]
r"""
The error falls with the *root* of $m$: a hundred times the work for a tenth of the noise. That is the whole case for mini-batches: the first examples
tell most of the direction. (The other half is hardware. A matrix product of 32 rows takes far less than 32 times as long as one of a single row.)
Drawn without replacement, the noise is zero at $m = N$, which the root with $N - m$ in it says.

Two things are often mixed up. **One example at a time** (seed 1's training loop) makes $N$ steps in one pass over the data, each from parameters that
the last one has moved. **A batch** makes one step with the mean. Neither is a faster way to do the other. Section 6 has both on the same data.
"""

# %% [markdown]
r"""
## 3. Steps that remember

### Momentum is an average

$$v \leftarrow \beta v + (1 - \beta)\, g, \qquad w \leftarrow w - \eta v.$$

Put the first formula into itself and $v$ after $t$ steps is $(1-\beta)\sum_i \beta^{t-i} g_i$: an average of all gradients so far, in which each step
makes the old ones smaller by $\beta$. (`python -m derivations.momentum_average`, by induction.) No formula is needed to see it. Send a single
gradient of 1 through the rule and watch how long it lasts:
"""

# %%
for beta in (0.5, 0.9, 0.99):
    rule, w = Momentum(lr=1.0, momentum=beta, form="average"), np.array([0.0])
    state, weights = rule.init(w), []
    for t in range(2000):
        new, state = rule.step(w, np.array([1.0 if t == 0 else 0.0]), state)
        weights.append((w - new)[0])
        w = new
    shown = ", ".join(f"{weight:.3f}" for weight in weights[:6])
    print(
        f"β = {beta:4}: {shown}, …   sum {sum(weights):.3f}, length 1/(1 − β) = {sum(weights) / weights[0]:.0f}"
    )

# %% [markdown]
r"""
What it is good for: along a valley all gradients agree and their average is as long as they are; across it they alternate and cancel. That helps
where $\kappa$ is large. In the bowl above the best factor goes from $(\kappa-1)/(\kappa+1)$ to $(\sqrt\kappa-1)/(\sqrt\kappa+1)$ (Polyak 1964; Goh,
*Why momentum really works*, 2017). It is a theorem about bowls, and about gradients without noise.

Three forms are in use, and $\eta$ does not mean the same in all of them:

| | | who |
|---|---|---|
| sum | $v \leftarrow \mu v + g, \quad w \leftarrow w - \eta v$ | PyTorch |
| average | $v \leftarrow \mu v + (1-\mu) g, \quad w \leftarrow w - \eta v$ | many courses, Adam's first half |
| velocity | $v \leftarrow \mu v - \eta g, \quad w \leftarrow w + v$ | Keras, Sutskever et al. 2013 |
"""

# %%
rng = np.random.default_rng(0)
gradients = rng.normal(size=(20, 3))
for form, eta in (("sum", 0.1), ("velocity", 0.1), ("average", 0.1), ("average", 1.0)):
    rule, w = Momentum(lr=eta, momentum=0.9, form=form), np.zeros(3)
    state = rule.init(w)
    for g in gradients:
        w, state = rule.step(w, g, state)
    print(f"{form:8s} η = {eta}: w after 20 steps = {np.round(w, 6)}")

# %% [markdown]
r"""
The average form needs $1/(1-\mu)$ times the rate: whoever takes over $\eta$ from another form is off by a factor of ten. And where a schedule changes
$\eta$, “sum” and “velocity” part as well.

### Exercise 2: a step of momentum

The sum form. `w`, `g`, `v` are arrays of one shape, `v` is zeros before the first step. Return the new `w` and the new `v`, and leave the old ones as
they are. `bpcheck.compare_update` takes hundreds of steps with your function, with gradients that are large, tiny, zero and the same again, and holds
each against the rule on balls, so that it knows what rounding may do.
"""


# %% tags=["exercise"]
def momentum_step(w, g, v, eta, mu):
    # return w, v
    ...


check.momentum_step(momentum_step)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def momentum_step(w, g, v, eta, mu):
    v = mu * v + g
    return w - eta * v, v
```

</details>
"""

# %% [markdown]
r"""
### RMSprop: each entry with a rate of its own

$$v \leftarrow \rho v + (1 - \rho)\, g^2, \qquad w \leftarrow w - \eta\, \frac{g}{\sqrt v + \varepsilon},$$

all of it entry by entry. $\sqrt v$ is the recent size of the entry's gradient, so that the step is about $\eta$, whatever the scale of the cost.
(Tieleman and Hinton 2012, a slide of a lecture. Where $\varepsilon$ stands differs between libraries.)

### Adam, and why it corrects

Adam averages both: $m$ the gradients, $v$ their squares. Both begin at 0, and a running average of $t$ equal numbers that begins at 0 is too small by
the factor $1 - \beta^t$, for the weights add up to that only. Hence

$$\hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat v = \frac{v}{1 - \beta_2^t}, \qquad w \leftarrow w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$

(`python -m derivations.adam_bias_correction`; Kingma and Ba 2015). How much does it matter?
"""

# %%
figures.first_steps_figure()

# %% [markdown]
r"""
$v$ needs $1/(1 - \beta_2) = 1000$ steps to forget its start, $m$ only ten. Until then the uncorrected step is too *large*, because $\sqrt v$ is too
small. It matters at the beginning, and then no more: a bug that only looks like a bad start.

### Exercise 3: a step of Adam

`state` is `(m, v, t)`: zeros, zeros and 0 before the first step. Count the step yourself.
"""


# %% tags=["exercise"]
def adam_step(w, g, state, eta, beta1, beta2, epsilon):
    # m, v, t = state
    # return w, (m, v, t)
    ...


check.adam_step(adam_step)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def adam_step(w, g, state, eta, beta1, beta2, epsilon):
    m, v, t = state
    t = t + 1
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - eta * m_hat / (np.sqrt(v_hat) + epsilon), (m, v, t)
```

Your own optimiser is checked in the same way: `bpcheck.compare_update(step)` even finds out which rule it is. The mistakes it can name are in
`bpcheck.diagnosis.UPDATES`.

</details>
"""

# %%
for slug, bug in list(bpcheck.diagnosis.UPDATES.items())[:12]:
    print(f"{slug:30s} {bug.symptom}")

# %% [markdown]
r"""
## 4. Around the step

### Clipping

Three ways to bound a gradient, on two tensors, $(3, 4)$ and $(0.5)$, with the limit 1:
"""

# %%
gradient = [np.array([3.0, 4.0]), np.array([0.5])]
for name, clip in (("value", clip_by_value), ("norm", clip_by_norm), ("global norm", clip_by_global_norm)):
    first, second = clip(gradient, 1.0)
    print(
        f"by {name:12s} {np.round(first, 3)} {np.round(second, 3)}   0.5 is {second[0] / first[0]:.2f} of the first"
    )

# %% [markdown]
r"""
By value, the 3 and the 4 become alike: another direction. By norm, each tensor keeps its own direction, and the tensors change beside one another. By
global norm only the length changes: all is multiplied by one number. It bounds the step and does not touch the ratio between layers: keep that in
mind for section 5.

### Weight decay

*Coupled*: add $\lambda w$ to the gradient, as if $\frac12\lambda\lVert w\rVert^2$ stood in the cost. *Decoupled*: shrink $w$ by $\eta\lambda w$
beside the step (Loshchilov and Hutter 2019). For plain gradient descent both are the same. In Adam they are not: coupled, $\lambda w$ is divided by
its own size. A weight that has no gradient at all, $w = 2$, $\eta = 0.01$, after one step:
"""

# %%
for name, make in (("SGD", SGD), ("Adam, coupled", Adam), ("AdamW, decoupled", AdamW)):
    moved = []
    for decay in (0.1, 0.001):
        rule, w = make(lr=0.01, weight_decay=decay), np.array([2.0])
        moved.append(w - rule.step(w, np.array([0.0]), rule.init(w))[0])
    print(f"{name:17s} λ = 0.1: shrinks by {moved[0][0]:.6f}   λ = 0.001: by {moved[1][0]:.6f}")

# %% [markdown]
r"""
In Adam, coupled, the weight moves by $\eta$ whatever $\lambda$ is.

### Schedules

With noise in the gradient a constant $\eta$ does not arrive (section 6 measures where it stays). Robbins and Monro (1951) proved for their setting,
where there is one root to be found, that steps with $\sum \eta_t = \infty$ and $\sum \eta_t^2 < \infty$ do: long enough in all to get anywhere, short
enough in the end for the noise to average out. In practice:
"""

# %%
figures.schedules_figure()

# %% [markdown]
r"""
### Early stopping

The training loss is not what one wants to be small. Here are 300 digits, and a fifth of them got a label that was drawn at random: enough units can
learn these by heart. Stop when the examples held out are read no better:
"""

# %%
print(experiments.overfitted(Momentum(lr=0.05), stop=EarlyStopping(patience=5)).stopped)
figures.stopping_figure(experiments.overfitted(Momentum(lr=0.05)))

# %% [markdown]
r"""
The held-out examples have now been used to choose. An honest number needs a third set.

### Exercise 4: mend an optimiser

It is meant to clip the *whole* gradient to the norm 1 (global norm) and then to take a step of momentum. `params` and `gradients` are lists of
arrays. It runs, it trains, and its gradients are right. Something is wrong all the same. Mend it.
"""


# %% tags=["exercise"]
class Optimizer:
    def __init__(self):
        self.v = None

    def update(self, params, gradients):
        if self.v is None:
            self.v = [np.zeros_like(w) for w in params]
        new = []
        for i, (w, g) in enumerate(zip(params, gradients)):
            norm = np.sqrt(np.sum(g**2))
            if norm > 1.0:
                g = g / norm
            self.v[i] = 0.9 * self.v[i] + g
            new.append(w - 0.1 * self.v[i])
        return new


check.mended_optimizer(Optimizer)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
class Optimizer:
    def __init__(self):
        self.v = None

    def update(self, params, gradients):
        if self.v is None:
            self.v = [np.zeros_like(w) for w in params]
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
        factor = 1.0 / norm if norm > 1.0 else 1.0
        new = []
        for i, (w, g) in enumerate(zip(params, gradients)):
            self.v[i] = 0.9 * self.v[i] + factor * g
            new.append(w - 0.1 * self.v[i])
        return new
```

One norm over all tensors, one factor for all of them. With one tensor, or gradients below the limit, both are the same, and no test sees it.

</details>
"""

# %% [markdown]
r"""
## 5. A right gradient that teaches nothing

BP2 says how an error comes down one layer:

$$\delta^l = (J^l)^\mathsf{T} \delta^{l+1}, \qquad J^l = W^{l+1} \operatorname{diag}(\sigma'(z^l)).$$

Through $L$ layers it is multiplied $L - 2$ times. If a layer leaves a quarter of it, twenty layers leave nothing (*vanishing*); if it makes one and a
half of it, twenty layers make thousands (*exploding*). Every digit is right, and no gradient check will ever complain. `bpcheck.gradient_health`
measures it. Here are five networks of 20 layers on 64 digits; ReLU with He's weights, the sigmoid with Glorot's, and with skips every hidden layer
but the first is $x + \sigma(Wx + b)$:
"""

# %%
figures.health_figure()

# %% [markdown]
r"""
- **Sigmoid**: a straight line on a logarithmic axis. The slope $\sigma'$ is at most ¼.
- **ReLU**: its slope is 0 or 1, and He's weights make up for the zeros. Not the activation alone helps but the two together.
- **Skips**: the derivative of $x + f(x)$ is $1 + f'(x)$, and the 1 passes the error on. It saves the sigmoid network. In the ReLU network, whose
  layers keep the error as it is already, the 1 comes *on top*, and it explodes. Skips need branches that start small, or a normalisation.

Where to look first, for your own network: `print(bpcheck.gradient_health(network, params, x, y))` says what helps, too. The table above its advice is
explained in `docs/gradient_health.md`.

### Exercise 5: predict the factor

The factor of a layer can be predicted without a backward pass. Entry $k$ of $\delta^l$ is $\sigma'(z^l_k) \sum_j W_{jk}\, \delta^{l+1}_j$, and at the
start the weights are independent of one another and of the errors, with mean 0. Then the mean square of the sum is (number of terms) · (variance of
$W$) · (mean square of $\delta^{l+1}$). By what is the *root* mean square of $\delta$ multiplied? The activation is the sigmoid; `units` is the number
of units of layer $l+1$, `variance` that of its weights, `z` an array of pre-activations of layer $l$.
"""


# %% tags=["exercise"]
def layer_factor(units, variance, z): ...


check.layer_factor(layer_factor)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
def layer_factor(units, variance, z):
    s = 1 / (1 + np.exp(-z))
    slope = s * (1 - s)
    return np.sqrt(units * variance * np.mean(slope**2))
```

Glorot's weights between layers of equal width have $n \operatorname{Var} W = 1$, which leaves the slope alone: at most ¼. He's rule for ReLU sets
$n \operatorname{Var} W = 2$, because half of the slopes are 0. To keep the error as it is, a sigmoid network would need weights four times as large,
and then its $z$ leave the region where the slope is ¼.

</details>
"""

# %% [markdown]
r"""
## 6. What the two texts say, and what is known

bpcheck grew from two introductory texts (*the seeds*, see `docs/notation.md`). Their equations are corrected there. Their words about *training* are
of another kind: not wrong signs but sentences without their conditions. Each of them is quoted here in a few words and put to an experiment. An
experiment is one case. It can show that a general sentence is not generally true. It cannot show that something is never true, and each of them says
what it does not show.

### 6.1 Momentum “avoids local minima”

Seed 1, table of variants. The cost is $C(w) = (w^2 - 1)^2 + 0.3w$, with its lower minimum near $-1$ and a higher one near $1$. We start at 401 points
between $-2$ and $2$, once with plain descent, once with momentum 0.9, both with $\eta = 0.01$.

### Exercise 6: predict

Before you run anything: which of these hold? `True` or `False`. bpcheck runs all four.
"""

# %% tags=["exercise"]
prediction = {
    "plain descent ends in the valley it starts in": ...,
    "momentum 0.9 leaves the higher minimum from some starts": ...,
    "momentum 0.9 leaves the lower minimum from some starts": ...,
    "with a tenth of the rate, momentum 0.9 still does": ...,
}

check.predicted_minima(prediction)

# %% [markdown] tags=["solution"]
r"""
<details><summary>Solution</summary>

```python
prediction = {
    "plain descent ends in the valley it starts in": True,
    "momentum 0.9 leaves the higher minimum from some starts": True,
    "momentum 0.9 leaves the lower minimum from some starts": True,
    "with a tenth of the rate, momentum 0.9 still does": False,
}
```

</details>
"""

# %%
for mu, eta in ((0.0, 0.01), (0.5, 0.01), (0.9, 0.01), (0.99, 0.01), (0.9, 0.001)):
    c = experiments.two_minima(Momentum(lr=eta, momentum=mu), steps=10_000)
    print(
        f"μ = {mu:4}, η = {eta:5}: {c.left_bad:2d} leave the higher minimum, {c.left_good:2d} leave the lower one; "
        f"{c.ended_good} of 401 end in the lower one"
    )

# %%
figures.minima_figure()

# %% [markdown]
r"""
**What it shows.** Momentum carries a fast ball over a hill, out of a bad minimum *and out of a good one*. On balance 16 starts more end in the lower
one here. What decides is the speed at the hill, not the depth behind it. With a tenth of the rate nothing is left of it: $\mu$ alone “avoids” nothing.

**What it does not show.** One dimension and no noise; how often either happens in a network is another question.

**Known.** What momentum
provably does is to go faster through valleys with a large $\kappa$ (Polyak 1964; Goh 2017).

### 6.2 “Local minima … mitigation: momentum, adaptive learning rates”

Seed 1, common challenges. Networks that do get stuck are small ones. Two tanh units can compute XOR, and often they do not find it. The same 200
starts for every rule, 3000 steps on all four examples:
"""

# %%
rules = {
    "SGD": [SGD(lr=rate) for rate in (0.5, 1.0, 4.0)],
    "momentum 0.9": [Momentum(lr=rate) for rate in (0.1, 0.3, 1.0)],
    "RMSprop": [RMSprop(lr=rate) for rate in (0.01, 0.05, 0.1)],
    "Adam": [Adam(lr=rate) for rate in (0.01, 0.1, 0.3)],
}
for name, at_rates in rules.items():
    found = [experiments.xor(rule, hidden=2) for rule in at_rates]
    listed = ", ".join(f"{n:3d} (η = {rule.lr:g})" for n, rule in zip(found, at_rates, strict=True))
    print(f"2 hidden units, {name:13s} of 200 starts: {listed}")
for name, at_rates in rules.items():
    print(f"8 hidden units, {name:13s} of 200 starts: {experiments.xor(at_rates[0], hidden=8)}")

# %% [markdown]
r"""
**What it shows.** With two units no rule, at none of its rates, finds XOR from much more than half of the starts. The best count with momentum is a few
starts above the best without, about what chance would do to such a count (a standard deviation of 7). RMSprop and Adam, whose rates are adaptive, are
not above it. Six more units do what no rule did.

**What it does not show.** Three rates are no search, and “not found after 3000 steps” may be a minimum or a plateau.

**Known.** In large networks the points at which the gradient vanishes and the cost is high seem to be mostly *saddles* (Dauphin et al. 2014, by
experiment and by analogy with random surfaces), and minima to lie close to one another in cost (Choromanska et al. 2015, under assumptions that real
networks do not meet). Bad minima do exist: Safran and Shamir 2018 prove it for small ReLU networks, and observe that a few more units make them
rarer. A saddle does not hold descent for ever, but for long. There, speed does help:
"""

# %%
for name, rule in {
    "SGD": SGD(lr=0.1),
    "momentum 0.9": Momentum(lr=0.1),
    "Nesterov 0.9": Nesterov(lr=0.1),
    "Adam": Adam(lr=0.1),
}.items():
    print(f"{name:13s} leaves a saddle, from 1e-6 beside it, after {experiments.saddle(rule)} steps")

# %% [markdown]
r"""
(Adam's step is about $\eta$ however small the gradient is. At a saddle that is what one wants; at the end of a noisy descent it is not.) “Momentum
helps over slow places” would have been the better sentence.

### 6.3 One example at a time: “faster convergence”; mini-batches: “balance speed/stability”

Seed 1, table of variants. Faster in what? The same network, the same start, 1400 digits; the rate of each batch size is a good one for it.
"""

# %%
runs = [
    experiments.progress_of(1, 0.1, steps=2800),
    experiments.progress_of(16, 0.5, steps=400, looks=[*2 ** np.arange(9), 174, 300, 400]),
    experiments.progress_of(1400, 1.0, steps=300),
]
print(f"{'batch':>6s}{'after 2800 examples':>22s}{'after 256 steps':>18s}")
for run in runs:
    print(f"{run.batch:6d}{run.after(examples=2800):22.3f}{run.after(steps=256):18.3f}")
figures.progress_figure(runs)

# %% [markdown]
r"""
**What it shows.** Against *examples*, small batches win by far; against *steps*, the full batch does. Both are “convergence”. Which one counts
depends on what a step costs on your machine, and only a clock knows. And at a constant rate, small batches do not converge at all where examples
contradict one another. Linear regression on the digits, begun *at* the minimum, which least squares gives exactly:
"""

# %%
for name, excess in experiments.noise_floor().items():
    print(f"{name:32s} stays {excess:.4f} above the minimum")

# %% [markdown]
r"""
**What it shows.** A floor, in proportion to $\eta$ and to $1/m$; a rate that decays goes below it.

**What it does not show.** A network that fits every example has no floor: there each example's own gradient ends
at 0.

**Known.** Robbins and Monro 1951 for the decay; for convex costs the rates of both are theorems: per example, the stochastic method needs no pass
over all data for its first progress, and per step the full gradient converges exponentially where the stochastic one does not (Bottou, Curtis and
Nocedal, *Optimization methods for large-scale machine learning*, 2018).

“Stability” also hides the rate. The three batch sizes at *one* rate, that of the full batch:
"""

# %%
for batch in (1, 16, 1400):
    run = experiments.progress_of(batch, 1.0, steps=256)
    print(
        f"batch {batch:4d}, η = 1: loss {run.losses[0]:.2f} at the start, {run.after(steps=256):.2f} after 256 steps"
    )

# %% [markdown]
r"""
Seed 2 has the factor $1/m$ make updates “appropriate regardless of the size of the training set”. It makes the *gradient* comparable. Which rate
suits it is another matter: the noise depends on $m$. And its last sentence, “improved performance in subsequent training epochs until convergence”,
was false in the first experiment of this notebook, at $\eta = 0.21$.

### 6.4 Exploding gradients: “weight regularization”

Seed 1, common challenges, beside clipping. The ReLU network with skips from section 5, two passes over the digits:
"""

# %%
cases = {
    "η = 0.01": {"rule": SGD(lr=0.01)},
    "η = 0.01, λ = 0.01": {"rule": SGD(lr=0.01), "penalty": 0.01},
    "η = 0.01, λ = 1": {"rule": SGD(lr=0.01), "penalty": 1.0},
    "η = 0.0001": {"rule": SGD(lr=1e-4)},
    "η = 0.0001, λ = 1": {"rule": SGD(lr=1e-4), "penalty": 1.0},
    "η = 0.0001, λ = 100": {"rule": SGD(lr=1e-4), "penalty": 100.0},
    "η = 0.01, norm clipped to 1": {"rule": Clipped(rule=SGD(lr=0.01))},
    "small start, η = 0.3": {"rule": SGD(lr=0.3), "small": True},
    "small start, clipped, η = 0.3": {"rule": Clipped(rule=SGD(lr=0.3)), "small": True},
}
print(f"{'':30s}{'‖gradient‖ at the start':>24s}{'a layer':>10s}{'loss at the end':>18s}")
for name, options in cases.items():
    norm, factor, loss = experiments.explosion(**options)
    print(f"{name:30s}{norm:24.2f}{factor:10.2f}{loss:18.2f}")
steps = 2 * int(np.ceil(1400 / 32))
print(
    f"chance: {np.log(10):.2f}. At η = 0.0001 and λ = 100 the decay alone leaves {(1 - 0.01) ** steps:.0%} of a weight."
)

# %% [markdown]
r"""
**What it shows.** A penalty does nothing about an explosion at the start: the first gradient is hardly another one (with $\lambda = 100$ a little
larger), and at a common rate the run is over (nan) before any weight has shrunk. At a rate so small that the run survives without it, $\lambda = 1$
changes little, and an absurd $\lambda = 100$ does help, by making the weights small in the end: the start was wrong, and it is mended slowly.
Clipping keeps the run alive, for it bounds the step. It does not make the network sound: the factor a layer is what it was. What helps is to begin
with weights for which the factor is near 1.

**What it does not show.** That penalties are of no use elsewhere. Two passes
are short, and clipped training would go on.

**Known.** Pascanu et al. 2013 propose clipping for recurrent networks, where a gradient explodes now and then on the way; a penalty that keeps
recurrent weights small prevents explosion there, and takes from the network the memory that it was built for. The seed's reason, “large weight values
cause numerical instability”, is half of it: what counts is the product over the layers, of weights *and* slopes. And its “use ReLU, residual
connections” against vanishing is the very network that explodes here.

### 6.5 RMSprop “handles sparse gradients”

Seed 1, table of variants. One weight has a gradient at every step, another one at every hundredth only. How far do both get in 2000 steps, in units
of $\eta$?
"""

# %%
for name, rule in {
    "SGD": SGD(lr=1.0),
    "momentum 0.9": Momentum(lr=1.0),
    "RMSprop": RMSprop(lr=1.0),
    "Adam": Adam(lr=1.0),
}.items():
    often, rarely = (experiments.rare_gradients(rule, every=k) for k in (1, 100))
    tenth = experiments.rare_gradients(rule, every=100, size=0.1)
    print(
        f"{name:13s} every step {often:6.0f}, every 100th {rarely:6.1f}, {often / rarely:5.1f} times less; "
        f"with gradients of 0.1 for 1: {tenth:6.1f}"
    )

# %% [markdown]
r"""
**What it shows.** The rare weight gets a hundredth from SGD, and a larger share from RMSprop and Adam: that is what the sentence means. The step is
also blind to the *size* of a rare gradient: a tenth of the gradient, the same way. Whether that is good depends on whether rare gradients are noise.

**What it does not show.** That anything is learnt better.

**Known.** The theorem about sparse gradients belongs to AdaGrad (Duchi, Hazan and Singer 2011), which sums the squares instead of averaging them, and
is not this rule; and there are convex costs, with rare and large gradients, on which Adam does not converge to the minimum (Reddi, Kale and Kumar
2018).

### 6.6 Adam, “most widely used optimizer”

Seed 1, table of variants, in the column of *advantages*. How often something is used is no experiment, and no advantage. Is it better? Four rules,
four rates each, five seeds, ten passes over the digits:
"""

# %%
results = experiments.optimizers()
best = {}
for name, rates in results.items():
    print(f"{name}")
    for rate, (losses, right) in rates.items():
        print(
            f"    η = {rate:6}: loss held out {losses.mean():.3f} ± {losses.std(ddof=1):.3f}, "
            f"read right {right.mean():.1%} ± {right.std(ddof=1):.1%}"
        )
    best[name] = max(rates.values(), key=lambda found: found[1].mean())[1]
print("\nbest rate of each:", ", ".join(f"{name} {right.mean():.1%}" for name, right in best.items()))
default = [experiments.train(Adam(), seed=seed).last.held_out_accuracy for seed in range(5)]
print(f"Adam with its default, η = 0.001: {np.mean(default):.1%}")

# %% [markdown]
r"""
**What it shows.** On this task, at its best rate, each rule reads within a percent of every other, and the seeds of one rule are spread by about as
much. Within each rule, the rate changes the loss more than the choice of the rule does. The default of Adam is not a tuned rate.

**What it does not show.** One small task; ten passes; and the rates were chosen on the images that are reported, which flatters all four.

**Known.** Wilson et al. 2017 report tasks on which adaptive rules generalise worse than tuned SGD; Choi et al. 2019 that the order depends on how
much is tuned, and that a general rule which contains another is never worse if all its numbers are tuned; Schmidt, Schneider and Hennig 2021 found no
winner among fifteen over eight tasks. What speaks for Adam is that it is less touchy about the scale of the cost. That is worth something, and is not
the same as best.

## What to take along

- The gradient says where down is, for a very short way. $\eta$ is how far it is trusted. The steepest direction sets the limit.
- Noise falls with the root of the batch size.
- Momentum is an average. Ask which form before taking over a rate.
- Adam's corrections matter for the first thousand steps. `compare_update` finds what a loss curve does not show.
- A right gradient can be useless: look at the factor a layer. Clipping bounds a step, and repairs no network.
- “Faster”, “avoids”, “best”: ask against what, from where, and with what tuned.

## Sources

- H. Robbins and S. Monro, *A stochastic approximation method*, Annals of Mathematical Statistics 22, 1951.
- B. T. Polyak, *Some methods of speeding up the convergence of iteration methods*, USSR Computational Mathematics and Mathematical Physics 4, 1964.
- J. Duchi, E. Hazan and Y. Singer, *Adaptive subgradient methods for online learning and stochastic optimization*, JMLR 12, 2011.
- T. Tieleman and G. Hinton, lecture 6.5 of *Neural networks for machine learning*, 2012.
- R. Pascanu, T. Mikolov and Y. Bengio, *On the difficulty of training recurrent neural networks*, ICML 2013.
- I. Sutskever, J. Martens, G. Dahl and G. Hinton, *On the importance of initialization and momentum in deep learning*, ICML 2013.
- Y. Dauphin et al., *Identifying and attacking the saddle point problem in high-dimensional non-convex optimization*, NIPS 2014.
- D. Kingma and J. Ba, *Adam: a method for stochastic optimization*, ICLR 2015.
- A. Choromanska et al., *The loss surfaces of multilayer networks*, AISTATS 2015.
- G. Goh, *Why momentum really works*, Distill, 2017.
- A. Wilson et al., *The marginal value of adaptive gradient methods in machine learning*, NIPS 2017.
- L. Bottou, F. Curtis and J. Nocedal, *Optimization methods for large-scale machine learning*, SIAM Review 60, 2018.
- S. Reddi, S. Kale and S. Kumar, *On the convergence of Adam and beyond*, ICLR 2018.
- I. Safran and O. Shamir, *Spurious local minima are common in two-layer ReLU neural networks*, ICML 2018.
- I. Loshchilov and F. Hutter, *Decoupled weight decay regularization*, ICLR 2019.
- D. Choi et al., *On empirical comparisons of optimizers for deep learning*, 2019.
- R. Schmidt, F. Schneider and P. Hennig, *Descending through a crowded valley: benchmarking deep learning optimizers*, ICML 2021.

For initialisation and health: `docs/gradient_health.md`.
"""
