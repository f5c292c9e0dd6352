"""What an embedding tells of the site, as a term of the loss and as a figure per epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import normalize

from ..nn.adversary import SiteAdversary, confusion_loss, reverse_gradient
from ..nn.penalties import PENALTIES, invariance_penalty
from ._objective import Moment

__all__ = ["ADVERSARIAL", "CHOICES", "WARM_UPS", "InvarianceTerm", "SiteMonitor", "gradient_share"]

ADVERSARIAL = ("adversarial", "conditional_adversarial", "confusion")
CHOICES = (*PENALTIES, *ADVERSARIAL)
# Ganin et al. 2016, JMLR 17, section 5.2.2
WARM_UPS: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda done: 2 / (1 + math.exp(-10 * done)) - 1
}
N_FOLDS = 5
PROBE_RIDGE = 1.0


@dataclass(frozen=True)
class InvarianceTerm:
    """A penalty or an adversary, its weight, and how fast it comes in.

    Parameters
    ----------
    kind : str or callable
        One of :data:`CHOICES`, or a function of unit embeddings (n, d), site codes (n,) and ages.
    weight : float
        Factor of the penalty, or of the reversed gradient.
    warm_up : float, "sigmoid" or callable
        Share of the epochs over which the weight rises from zero, the published course, or a
        function of the share of epochs done that returns a factor.
    age_bandwidth : float
        SD of the window of similar age, in years.
    """

    kind: str | Callable[[Tensor, Tensor, Tensor], Tensor]
    weight: float
    warm_up: float | str | Callable[[float], float]
    age_bandwidth: float

    @property
    def is_adversarial(self) -> bool:
        """Whether it needs an adversary."""
        return self.kind in ADVERSARIAL

    def factor(self, moment: Moment) -> float:
        """Return the weight in this epoch."""
        done = min(1.0, moment.epoch / max(1, moment.n_epochs))
        if callable(self.warm_up):
            return self.weight * self.warm_up(done)
        if isinstance(self.warm_up, str):
            return self.weight * WARM_UPS[self.warm_up](done)
        return self.weight * min(1.0, done / self.warm_up if self.warm_up else 1.0)

    def __call__(
        self,
        embedding: Tensor,
        site: Tensor,
        y: Tensor,
        weight: Tensor,
        moment: Moment,
        adversary: SiteAdversary | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the term of the loss and the value to log.

        Of (n, views, d), (n, m), (n,) and (n,).
        """
        factor = self.factor(moment)
        if self.is_adversarial:
            assert adversary is not None
            return self._against(embedding, site[:, 0], y, weight, factor, adversary)
        if callable(self.kind):
            views = normalize(embedding, dim=2).unbind(dim=1)
            value = torch.stack([self.kind(z, site[:, 0], y) for z in views]).mean()
        else:
            value = invariance_penalty(
                embedding, site, y, kind=self.kind, weight=weight, age_bandwidth=self.age_bandwidth
            )
        return factor * value, value.detach()

    def _against(
        self,
        embedding: Tensor,
        site: Tensor,
        y: Tensor,
        weight: Tensor,
        factor: float,
        adversary: SiteAdversary,
    ) -> tuple[Tensor, Tensor]:
        n_views = embedding.shape[1]
        z = normalize(embedding, dim=2).flatten(0, 1)
        site, y, weight = (part.repeat_interleave(n_views) for part in (site, y, weight))
        if self.kind != "confusion":
            loss = adversary.loss(reverse_gradient(z, factor), site, y, weight)
            return loss, loss.detach()
        guess = adversary.loss(z.detach(), site, y, weight)
        frozen = {name: value.detach() for name, value in adversary.named_parameters()}
        confusion = confusion_loss(functional_call(adversary, frozen, (z, y)), weight)
        return guess + factor * confusion, guess.detach()


class SiteMonitor:
    """What one epoch tells of the site: the penalty, its share of the gradient, and a probe.

    The probe guesses the site of people from the embeddings that they had in training, by ridge
    regression on site indicators, cross-validated; its floor guesses from a cubic of age. An
    embedding at or under the floor tells no more of the site than age does.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self.share: float | None = None
        self.rows: list[np.ndarray] = []
        self.embeddings: list[np.ndarray] = []

    def add(self, value: Tensor, rows: Tensor, embedding: Tensor) -> None:
        """Keep the penalty and the mean embedding over views of a batch."""
        self.values.append(float(value))
        self.rows.append(rows.cpu().numpy())
        self.embeddings.append(embedding.detach().mean(dim=1).cpu().numpy())

    def record(self, net: Any, site: np.ndarray, y: np.ndarray) -> None:
        """Log the figures of the epoch that ends."""
        history = net.history
        history.record("penalty", float(np.mean(self.values)))
        if self.share is not None:
            history.record("penalty_gradient", self.share)
        rows, first = np.unique(np.concatenate(self.rows), return_index=True)
        embedding = np.concatenate(self.embeddings)[first]
        history.record("site_probe", probe(embedding, site[rows]))
        age = (y[rows] - y.mean()) / (y.std() + 1e-12)
        history.record("site_floor", probe(np.stack([age, age**2, age**3], axis=1), site[rows]))


def gradient_share(term: Tensor, loss: Tensor, embedding: Tensor) -> float:
    """Return the length of the gradient of a term over that of the loss, at the embedding."""
    lengths = []
    for part in (term, loss):
        if not part.requires_grad:
            lengths.append(0.0)
            continue
        (gradient,) = torch.autograd.grad(part, embedding, retain_graph=True, allow_unused=True)
        lengths.append(0.0 if gradient is None else float(gradient.norm()))
    return lengths[0] / max(lengths[1], 1e-12)


def probe(features: np.ndarray, site: np.ndarray) -> float:
    """Return the balanced accuracy of a cross-validated linear guess of the site."""
    codes = np.unique(site, return_inverse=True)[1]
    if codes.max() == 0:
        return 1.0
    indicators = np.eye(codes.max() + 1)[codes]
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    # places within each site in turn, so that every fold has people of every site
    order = np.argsort(codes, kind="stable")
    fold = np.empty(len(codes), dtype=int)
    fold[order] = np.arange(len(codes)) % N_FOLDS
    weight = 1 / np.bincount(codes)[codes]
    guess = np.zeros(len(codes), dtype=int)
    for number in range(N_FOLDS):
        train, test = fold != number, fold == number
        design = np.column_stack([np.ones(train.sum()), scaled[train]])
        weighted = design * weight[train, None] * len(codes) / indicators.shape[1]
        gram = weighted.T @ design + PROBE_RIDGE * np.eye(design.shape[1])
        coefficients = np.linalg.solve(gram, weighted.T @ indicators[train])
        shown = np.column_stack([np.ones(test.sum()), scaled[test]])
        guess[test] = (shown @ coefficients).argmax(axis=1)
    return float(balanced_accuracy_score(codes, guess))
