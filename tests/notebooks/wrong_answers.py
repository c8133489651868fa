"""A plausible wrong answer to every exercise, and words that its refusal must hold."""

WRONG = {
    "unit": ("def unit(W, a, b, j):\n    return W[:, j] @ a + b[j]", "W[:, j]"),
    "layer": ("def layer(W, a, b):\n    z = W @ a\n    return z, np.tanh(z)", "bias is missing"),
    "shapes": (
        "def shapes(widths):\n    return [((i, o), (o,)) for i, o in zip(widths, widths[1:])]",
        "transposed",
    ),
    "forward": (
        "def forward(params, x):\n    zs, activations = [], [x]\n    for p in params:\n"
        "        zs.append(activations[-1] @ p['weight'].T + p['bias'])\n"
        "        activations.append(np.tanh(zs[-1]))\n    return zs, activations",
        "output layer is linear",
    ),
    "passport": (
        "def to_cs231n(W, b):\n    return W, b\n\n\ndef to_bishop(W, b):\n    return np.column_stack([W, b])",
        "W.T",
    ),
    "error_is_difference": (
        "prediction = {pair: True for pair in [('identity', 'half_mse'), ('identity', 'mse'), "
        "('sigmoid', 'half_mse'), ('sigmoid', 'binary_cross_entropy'), ('softmax', 'half_mse'), "
        "('softmax', 'cross_entropy')]}",
        "3 of 6 predictions hold",
    ),
    "batch_gradient": (
        "def batch_gradient(W, b, x, y):\n    delta = x @ W.T + b - y\n    return delta.T @ x, delta.sum(axis=0)",
        "mean over the batch is missing",
    ),
    "update": (
        "def update(w, gradients, batch, eta):\n    return w - eta * gradients.mean(axis=0)",
        "all training examples",
    ),
    "output_line": ("line_2 = total(slope(k) * sigma.prime(z[L, k]), k)", "only where k is j"),
    "softmax_error": ("delta_j = slope(j) * a[L, j] * (1 - a[L, j])", "the diagonal of the Jacobian alone"),
    "targets": ("number = 5\nwithout = p[j] - y[j]", "only if the targets add up to 1"),
    "all_paths": (
        "gradient = delta[L, p] * W[L, p, j] * sigma.prime(z[L - 1, j]) * a[L - 2, k]",
        "The paths add up",
    ),
    "weight_proof": (
        "lines = [\n    total(delta[l, i] * Diff(z[l, i], W[l, j, k]), i),\n"
        "    total(delta[l, i] * a[l - 1, k], i),\n    delta[l, j] * a[l - 1, k],\n]",
        "Line 2: right. Line 3: With",
    ),
    "four_lines": (
        "def bp1(cost_gradient, derivative):\n    return cost_gradient * derivative\n\n\n"
        "def bp2(weight, delta, derivative):\n    return delta @ weight\n\n\n"
        "def bp3(delta):\n    return delta.sum(axis=0)\n\n\n"
        "def bp4(delta, previous):\n    return delta.T @ previous",
        "σ' is missing: the error that comes down",
    ),
    "slope_at_kink": (
        "accepted = {0.0: True, 0.5: False, 1.0: False, 2.0: False}",
        "2 of 4 predictions hold",
    ),
    "backward": (
        "def backward(params, x, y):\n    a = [x]\n    for layer in params[:-1]:\n"
        "        a.append(np.tanh(a[-1] @ layer['weight'].T + layer['bias']))\n"
        "    residual = a[-1] @ params[-1]['weight'].T + params[-1]['bias'] - y\n"
        "    delta, gradients = residual / len(x), []\n    for number in reversed(range(len(params))):\n"
        "        gradients.insert(0, {'weight': delta.T @ a[number], 'bias': delta.sum(axis=0)})\n"
        "        delta = delta @ params[number]['weight']\n"
        "    return 0.5 * np.sum(residual**2) / len(x), gradients",
        "the factor σ'(z^l) is left out",
    ),
    "central_gradient": (
        "def central_gradient(f, x, h):\n    steps = h * np.eye(x.size).reshape(-1, *x.shape)\n"
        "    return np.array([(f(x + s) - f(x - s)) / h for s in steps]).reshape(x.shape)",
        "2h apart",
    ),
    "best_steps": ("def best_steps(value, second, third, u):\n    return np.sqrt(u), np.cbrt(u)", "sizes"),
    "mended_step": ("def checker(f, gradient, x):\n    return True", "yes to everything"),
    "mended_tolerance": (
        "def tolerant_checker(f, gradient, x):\n    return bool(np.allclose(gradient(x), check.differences(f, x, 1e-6)))",
        "It passes a gradient of zeros",
    ),
    "bowl_rates": (
        "def bowl_rates(low, high):\n    return 2 / high, 1 / high",
        "the shallow one shrinks by 1 − low/high only",
    ),
    "momentum_step": (
        "def momentum_step(w, g, v, eta, mu):\n    v = mu * v + (1 - mu) * g\n    return w - eta * v, v",
        "v is an average",
    ),
    "adam_step": (
        "def adam_step(w, g, state, eta, beta1, beta2, epsilon):\n    m, v, t = state\n"
        "    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2\n"
        "    return w - eta * m / (np.sqrt(v) + epsilon), (m, v, t + 1)",
        "m and v, which start at 0, are used as they are",
    ),
    "mended_optimizer": (
        "class Optimizer:\n    def __init__(self):\n        self.v = None\n\n"
        "    def update(self, params, gradients):\n        g = clip_by_value(gradients, 1.0)\n"
        "        v = self.v or [np.zeros_like(w) for w in params]\n"
        "        self.v = [0.9 * a + b for a, b in zip(v, g)]\n"
        "        return [w - 0.1 * a for w, a in zip(params, self.v)]",
        "every entry for itself",
    ),
    "layer_factor": (
        "def layer_factor(units, variance, z):\n    return np.sqrt(units * variance) / 4",
        "1/4 is the largest slope",
    ),
    "predicted_minima": (
        "prediction = dict.fromkeys(check.MINIMA, True)",
        "3 of 4 predictions hold",
    ),
    "wrong_entry": ("found = (\"params[0]['bias']\", (0,))", "Every entry"),
}
