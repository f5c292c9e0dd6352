"""Penalties on what an embedding tells of the site, each zero on average where it tells nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ._fair_kl import fair_kl
from ._gram import Gram
from ._residual_mean import residual_mean
from ._site_contrasts import (
    Contrasts,
    age_basis,
    age_residual_maker,
    excess_f_ratio,
    marginal,
    one_hot,
    site_shares,
    within_ages,
)

__all__ = ["CONDITIONAL", "PENALTIES", "invariance_penalty"]

MARGINAL = ("mmd", "hsic", "coral")
CONDITIONAL = ("conditional_mmd", "conditional_mean", "circe", "fair_kl")
PENALTIES = (*MARGINAL, *CONDITIONAL, "residual_mean")


def invariance_penalty(
    z: Tensor,
    site: Tensor,
    y: Tensor | None = None,
    *,
    kind: str = "conditional_mmd",
    weight: Tensor | None = None,
    age_bandwidth: float = 5.0,
    n_windows: int = 9,
    fewest: float = 2.0,
    ridge: float = 1e-2,
    n_features: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Measure what embeddings tell of the site, with a gradient that takes it out.

    With a kernel matrix :math:`K` between embeddings and a positive semi-definite :math:`W` of
    sites and ages, most kinds are :math:`\langle K, W \rangle / \operatorname{tr} W` less its mean
    if sites were shuffled. So they are zero on average without a site effect, for any number of
    people, and grow like a kernel F ratio:

    ======================= ====================================================================
    kind                    compares
    ======================= ====================================================================
    ``mmd``                 each site with all others (Gretton et al. 2012)
    ``hsic``                site and embedding; as ``mmd`` where sites are of one size (Gretton et
                            al. 2005)
    ``coral``               means and second moments of each site with those of all others (Sun &
                            Saenko 2016 compare covariances alone, which shifts do not change)
    ``conditional_mmd``     each site with all others among people of similar age
    ``conditional_mean``    mean embedding of each site, given a cubic of age
    ``circe``               what age leaves of site with the embedding, at similar ages (Pogodin
                            et al. 2023)
    ``fair_kl``             distances of people of similar age within a site and across sites
                            (Barbano et al. 2023)
    ``residual_mean``       mean error of each site, when ridge regression on the others of the
                            batch reads the age (anchor regression, Rothenhaeusler et al. 2021)
    ======================= ====================================================================

    The first three demand an embedding that is independent of site. Where ages differ by site, such
    an embedding must forget age: no reading of it has a root mean squared error below the SD of the
    sites' mean ages. The next four demand independence given age, and the last asks nothing of the
    embedding but that the age read from it be unbiased at every site.

    Parameters
    ----------
    z : Tensor of shape (n, d) or (n, views, d)
        Embeddings; normalised to unit length here. Views are penalised one by one and averaged.
    site : Tensor of int of shape (n,) or (n, m)
        Site codes, or several domain variables, whose penalties are averaged.
    y : Tensor of shape (n,) or None, default=None
        Age; needed by the conditional kinds.
    kind : str, default="conditional_mmd"
        A row of the table.
    weight : Tensor of shape (n,) or None, default=None
        What each person counts, 0 for who does not take part. ``mmd``, ``hsic``, ``coral`` and
        ``conditional_mmd`` weigh; the others only leave out people of weight 0.
    age_bandwidth : float, default=5.0
        SD of the window of similar age, in units of `y`.
    n_windows : int, default=9
        Ages at which ``conditional_mmd`` compares, between the 5 % and the 95 % quantile.
    fewest : float, default=2.0
        Effective number of people that either side of a comparison must have.
    ridge : float, default=0.01
        Of the regression of site on age in ``circe``.
    n_features : int or None, default=None
        Random Fourier features in place of the exact kernel, for thousands of rows.
    generator : torch.Generator or None, default=None
        Draws them.

    Returns
    -------
    penalty : Tensor, scalar
        Zero, with zero gradient, where the batch holds nothing to compare.

    Raises
    ------
    ValueError
        If the kind is unknown, or a kind that looks at age gets no y.

    References
    ----------
    Gretton et al. (2005), ALT: measuring statistical dependence with Hilbert-Schmidt norms.
    Gretton et al. (2012), JMLR 13: a kernel two-sample test. Sun & Saenko (2016), ECCV workshops:
    Deep CORAL. Pogodin et al. (2023), ICLR: efficient conditionally invariant representation
    learning. Barbano et al. (2023), ICLR: unbiased supervised contrastive learning.
    Rothenhaeusler, Meinshausen, Buehlmann, Peters (2021), JRSS B 83: anchor regression.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import invariance_penalty
    >>> generator = torch.manual_seed(0)
    >>> site, age = torch.arange(60) % 2, torch.rand(60) * 60 + 20
    >>> z = torch.randn(60, 8)
    >>> shifted = z + 3 * site[:, None]
    >>> bool(invariance_penalty(shifted, site, age) > 5 * invariance_penalty(z, site, age).abs())
    True
    """
    if kind not in PENALTIES:
        raise ValueError(f"kind must be one of {PENALTIES}, got {kind!r}.")
    if kind not in MARGINAL and y is None:
        raise ValueError(f"kind={kind!r} looks at age, but y is None. Pass the ages.")
    views = z[:, None] if z.ndim == 2 else z
    columns = site[:, None] if site.ndim == 1 else site
    total = views.sum() * 0.0
    counts = views.new_ones(len(site)) if weight is None else weight.to(views.dtype)
    taking_part = counts > 0
    views, columns, counts = views[taking_part], columns[taking_part], counts[taking_part]
    age = None if y is None else y.to(views.dtype)[taking_part]
    settings = _Settings(age_bandwidth, n_windows, fewest, ridge)
    for view in normalize(views, dim=2).unbind(dim=1):
        gram = _gram(view, kind, n_features, generator)
        for codes in columns.unbind(dim=1):
            if len(codes) >= 4 and len(torch.unique(codes)) > 1:
                people = _People(codes, age, counts)
                total = total + _of_one_view(view, gram, people, kind, settings)
    return total / (views.shape[1] * columns.shape[1])


class _People(NamedTuple):
    """Site, age where it is looked at, and weight of each person."""

    site: Tensor
    y: Tensor | None
    weight: Tensor


class _Settings(NamedTuple):
    """What conditional kinds are told of similar age."""

    bandwidth: float
    n_windows: int
    fewest: float
    ridge: float


def _gram(
    z: Tensor, kind: str, n_features: int | None, generator: torch.Generator | None
) -> Gram | None:
    """Return the kernel of a kind; those on means or distances need none."""
    if kind in ("conditional_mean", "fair_kl", "residual_mean") or len(z) < 2:
        return None
    if kind == "coral":
        return Gram.of_moments(z)
    # circe multiplies entry by entry, which needs the whole matrix
    return Gram(z, n_features=None if kind == "circe" else n_features, generator=generator)


def _of_one_view(
    z: Tensor, gram: Gram | None, people: _People, kind: str, settings: _Settings
) -> Tensor:
    """Return the penalty of one view and one domain variable."""
    site, y, weight = people
    if gram is None:
        assert y is not None
        if kind == "fair_kl":
            return fair_kl(z, site, y, bandwidth=settings.bandwidth)
        return residual_mean(z, site, y) if kind == "residual_mean" else _mean_given_age(z, site, y)
    if kind == "circe":
        assert y is not None
        return _circe(gram, site, y, bandwidth=settings.bandwidth, ridge=settings.ridge)
    if kind == "hsic":
        return _excess(gram, site_shares(site, weight))
    if kind == "conditional_mmd":
        assert y is not None
        windows = within_ages(
            site, y, weight, bandwidth=settings.bandwidth, n_windows=settings.n_windows,
            fewest=settings.fewest,
        )  # fmt: skip
        return _excess(gram, windows)
    return _excess(gram, marginal(site, weight))


def _excess(gram: Gram, contrasts: Contrasts) -> Tensor:
    """Return the sum of v' K v over contrasts less its mean under shuffled sites, in its units."""
    columns, pool = contrasts.columns.to(gram.dtype), contrasts.pool.to(gram.dtype)
    size = columns.square().sum(dim=0)
    if not len(size):
        return gram.quadratic(pool).sum()
    own = pool.square().sum(dim=0)
    self_similarity = gram.diagonal(pool)
    others = (gram.quadratic(pool) - own * self_similarity) / (pool.sum(dim=0).square() - own)
    expected = size * (self_similarity - others)
    # each contrast in units of its own noise, so that windows of few people do not drown the others
    return ((gram.quadratic(columns) - expected) / (size * self_similarity)).mean()


def _mean_given_age(z: Tensor, site: Tensor, y: Tensor) -> Tensor:
    """Return the F ratio of site beyond a cubic of age, over all columns together, less one."""
    return excess_f_ratio(z, site, age_basis(y))


def _circe(gram: Gram, site: Tensor, y: Tensor, *, bandwidth: float, ridge: float) -> Tensor:
    """Return the covariance of embedding and site residual at similar ages, off the diagonal."""
    rest, ages = age_residual_maker(y, bandwidth=bandwidth, ridge=ridge)
    members = one_hot(site).to(y.dtype)
    left = rest @ ((members - members.mean(dim=0)) / members.sum(dim=0).sqrt())
    shares = ages * (1 - torch.eye(len(y), device=y.device, dtype=y.dtype))
    assert gram.matrix is not None
    # people of similar age lie together whatever their site
    expected = (shares * gram.matrix).sum() / shares.sum().clamp_min(1e-12)
    covariance = (shares * (left @ left.T) * (gram.matrix - expected)).sum()
    return covariance / left.square().sum().clamp_min(1e-12)
