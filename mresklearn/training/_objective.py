"""What a batch is trained for: a function of the network's outputs, targets and sites."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from ..nn._pairs import pair_weights
from ..nn._recipes import find_recipe
from ..nn.kernels import Kernel, find_kernel
from ..nn.losses import contrastive_loss, neighbour_count

SUPERVISED = ("l1", "mse", "soft_label")


class Moment(NamedTuple):
    """Where in the training a batch stands."""

    epoch: int
    n_epochs: int


class Objective(Protocol):
    """Loss of one batch."""

    @property
    def n_outputs(self) -> int:
        """Width of the head that the network needs; 0 means that the embedding is trained."""

    @property
    def gradient_scale(self) -> float:
        """Size of the gradient beside that of a loss of order one; penalties are scaled by it."""

    def __call__(self, outputs: Tensor, y: Tensor, site: Tensor, moment: Moment) -> Tensor:
        """Return a scalar from outputs (n, views, d), y (n,) and site codes (n,)."""

    def count_unpaired(self, y: Tensor) -> int:
        """Return how many people of a batch could teach nothing if each had one view only."""


@dataclass(frozen=True)
class ContrastiveObjective:
    """The contrastive loss, or a mixture with the one whose positives are of other sites.

    Parameters
    ----------
    method, kernel, sigma, temperature, formula, bin_width, selection
        As for :func:`mresklearn.nn.contrastive_loss`.
    n_neighbours : "auto", int or None
        "auto" follows the schedule for ``dynamic`` and means everyone for the others.
    cross_site : float, default=0
        Share of the loss that attracts people of other sites and repels those of the same site.
    """

    method: str
    kernel: str | Kernel
    sigma: float
    temperature: float
    formula: str = "exact"
    bin_width: float = 2.0
    n_neighbours: str | int | None = "auto"
    selection: str = "similarity"
    cross_site: float = 0.0

    n_outputs = 0

    @property
    def gradient_scale(self) -> float:
        """Similarities are divided by the temperature, and so are differences of the embedding."""
        return 1 / self.temperature

    def __call__(self, outputs: Tensor, y: Tensor, site: Tensor, moment: Moment) -> Tensor:
        # a batch of one site has no positives at others
        share = self.cross_site if len(torch.unique(site)) > 1 else 0.0
        loss = outputs.sum() * 0.0
        if share < 1:
            loss = loss + (1 - share) * self._compare(outputs, y, None, moment)
        if share > 0:
            loss = loss + share * self._compare(outputs, y, site, moment)
        return loss

    def _compare(self, outputs: Tensor, y: Tensor, site: Tensor | None, moment: Moment) -> Tensor:
        """Return the loss over all people, or across the sites that are given."""
        return contrastive_loss(
            outputs,
            y,
            method=self.method,
            kernel=self.kernel,
            sigma=self.sigma,
            temperature=self.temperature,
            formula=self.formula,
            bin_width=self.bin_width,
            n_neighbours=self._neighbours(len(y), moment),
            selection=self.selection,
            site=site,
            site_mask="none" if site is None else "cross_site",
        )

    def count_unpaired(self, y: Tensor) -> int:
        """Return how many people have nobody near their age, whom a single view leaves alone."""
        recipe = find_recipe(self.method, self.formula)
        kernel = find_kernel(self.kernel, self.formula)
        weights = pair_weights(recipe.weights, y, kernel, self.sigma, self.bin_width)
        return int((weights.fill_diagonal_(0).sum(dim=1) == 0).sum())

    def _neighbours(self, n: int, moment: Moment) -> int | None:
        if isinstance(self.n_neighbours, str):
            if self.method != "dynamic":
                return None
            # a resumed fit stays at the end of the schedule
            epoch = min(moment.epoch, moment.n_epochs)
            return neighbour_count(epoch, moment.n_epochs, batch_size=n)
        return self.n_neighbours


@dataclass(frozen=True)
class SupervisedObjective:
    """Regression of age by a linear head on the embedding, for comparison in the same engine.

    ``l1`` and ``mse`` regress age in SDs of the training ages. ``soft_label`` is the loss of the
    SFCN (Peng et al., Medical Image Analysis 2021, section 2.2): the Kullback-Leibler divergence
    between a normal distribution around the age, over bins of age, and the softmax of the head;
    the prediction is the mean of that distribution.

    Parameters
    ----------
    kind : {"l1", "mse", "soft_label"}
        Loss.
    centre, scale : float
        Mean and SD of the training ages.
    centres : tuple of float
        Middles of the bins of ``soft_label``; empty for the others.
    sigma : float
        SD of the soft labels, in years.
    """

    kind: str
    centre: float
    scale: float
    centres: tuple[float, ...] = ()
    sigma: float = 1.0

    gradient_scale = 1.0

    @classmethod
    def of_ages(cls, kind: str, y: Tensor, sigma: float, bin_width: float) -> SupervisedObjective:
        """Return the objective for these training ages; bins reach three SDs beyond them."""
        centres: tuple[float, ...] = ()
        if kind == "soft_label":
            if bin_width == 0:
                raise ValueError("loss='soft_label' needs bins of some width: give bin_width > 0.")
            low, high = float(y.min()) - 3 * sigma, float(y.max()) + 3 * sigma
            n_bins = max(2, round((high - low) / bin_width))
            edges = torch.linspace(low, high, n_bins + 1, dtype=torch.float64)
            centres = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
        return cls(kind, float(y.mean()), float(y.std(correction=0)), centres, sigma)

    @property
    def n_outputs(self) -> int:
        """Width of the head: one number, or one per bin."""
        return len(self.centres) or 1

    @property
    def age_limits(self) -> tuple[float, float]:
        """Ages that the head can tell: all, or those within the bins."""
        if not self.centres:
            return -math.inf, math.inf
        half = (self.centres[1] - self.centres[0]) / 2
        return self.centres[0] - half, self.centres[-1] + half

    def has_bins_of(self, width: float) -> bool:
        """Whether bins of this width would be the same ones."""
        low, high = self.age_limits
        n_bins = (high - low) / width if width else math.inf
        return abs(max(2.0, n_bins) - len(self.centres)) < 0.5 + 1e-6

    def __call__(self, outputs: Tensor, y: Tensor, site: Tensor, moment: Moment) -> Tensor:
        outputs = outputs.float()
        if self.kind == "soft_label":
            wanted = self._soft_labels(y)[:, None].expand_as(outputs)
            divergence = kl_div(log_softmax(outputs, dim=-1), wanted, reduction="none")
            return divergence.sum(dim=-1).mean()
        error = outputs[..., 0] - ((y - self.centre) / self.scale)[:, None]
        return error.abs().mean() if self.kind == "l1" else error.square().mean()

    def count_unpaired(self, y: Tensor) -> int:
        """Return 0: people are not compared with each other."""
        return 0

    def predict(self, outputs: Tensor) -> Tensor:
        """Return ages in years from outputs of shape (n, d)."""
        outputs = outputs.float()
        if self.kind == "soft_label":
            return softmax(outputs, dim=-1) @ outputs.new_tensor(self.centres)
        return outputs[:, 0] * self.scale + self.centre

    def _soft_labels(self, y: Tensor) -> Tensor:
        """Return the probability of each bin under a normal distribution around each age."""
        centres = y.new_tensor(self.centres)
        half = (centres[1] - centres[0]) / 2
        z = (torch.stack([centres - half, centres + half]) - y[:, None, None]) / self.sigma
        share = torch.special.ndtr(z).diff(dim=1).squeeze(1)
        return share / share.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class DiagnosisObjective:
    """Cross-entropy of a linear head on the embedding, for diagnoses numbered from 0.

    Parameters
    ----------
    class_weight : tuple of float
        What a person of each diagnosis counts, so that rare ones are not drowned.
    """

    class_weight: tuple[float, ...]

    gradient_scale = 1.0

    @property
    def n_outputs(self) -> int:
        """Width of the head: one output per diagnosis."""
        return len(self.class_weight)

    def __call__(self, outputs: Tensor, y: Tensor, site: Tensor, moment: Moment) -> Tensor:
        outputs = outputs.float()
        codes = y.long().repeat_interleave(outputs.shape[1])
        weight = outputs.new_tensor(self.class_weight)[codes]
        wrong = cross_entropy(outputs.flatten(0, 1), codes, reduction="none")
        # over all people, not over the weights of the batch, which the rare ones come and go in
        return (wrong * weight).mean()

    def count_unpaired(self, y: Tensor) -> int:
        """Return 0: people are not compared with each other."""
        return 0
