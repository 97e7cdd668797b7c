"""From what the rules gave and what became of people to a weight for each rule. Needs scikit-learn.

Logistic regression on the points of each rule, brought to one spread. Before anything is seen each weight is taken to
be around 0, a normal distribution of width 1 (that is L2 with C = 1): so some fifty outcomes are enough, rules that say
the same share what they say, and what was hardly seen stays near 0. Errors are Laplace's approximation, from the
curvature at the solution: the same prior, so wide where little was seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadbridge.columns import Mask

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Log-odds of the outcome: `intercept`, and a weight for each point of each rule between its `low` and `high`."""

    intercept: float
    weights: Floats
    errors: Floats
    low: Floats
    high: Floats

    def probability(self, points: Floats) -> Floats:
        """Of each row of points, shape (people, rules)."""
        found: Floats = 1 / (1 + np.exp(-(self.intercept + np.clip(points, self.low, self.high) @ self.weights)))
        return found


def fit(points: Floats, became: Mask) -> Fit:
    """Learned from these people. A rule that gave everybody the same has weight 0.

    Raises ValueError when all became, or nobody, or no rule told anybody from anybody.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = points.mean(axis=0), points.std(axis=0)
    told = spread > 1e-12
    if became.all() or not became.any() or not told.any():
        raise ValueError("there is nothing to tell people apart by")
    z = (points[:, told] - mean[told]) / spread[told]
    learned = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8, max_iter=1000).fit(z, became)
    share = learned.predict_proba(z)[:, 1]
    x = np.column_stack([np.ones(len(z)), z])
    curve = (x * (share * (1 - share))[:, None]).T @ x + np.diag([0.0, *np.ones(z.shape[1])])
    weights, errors = np.zeros(len(spread)), np.zeros(len(spread))
    weights[told] = learned.coef_[0] / spread[told]
    errors[told] = np.sqrt(np.diag(np.linalg.inv(curve))[1:]) / spread[told]
    return Fit(
        float(learned.intercept_[0] - weights @ mean), weights, errors, points.min(axis=0), points.max(axis=0)
    )  # fmt: skip
