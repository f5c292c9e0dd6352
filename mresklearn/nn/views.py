"""Random views of a batch, drawn on its device; background stays exactly zero.

A view must keep what the model is to read. Noise, small shifts and mirroring left and right keep
age; scaling the intensities does not where absolute stiffness carries it, so it is no default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RandomViews:
    """Draw several views of each sample by a chain of random transforms.

    Parameters
    ----------
    n_views : int
        Views drawn of each sample.
    transforms : tuple of callable
        Each takes and returns a batch; every sample gets draws of its own.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import GaussianNoise, RandomViews
    >>> views = RandomViews(2, (GaussianNoise(0.1),))(torch.ones(5, 1, 4, 4, 4))
    >>> views.shape
    torch.Size([5, 2, 1, 4, 4, 4])
    """

    n_views: int
    transforms: tuple[Transform, ...] = ()

    def __call__(self, batch: Tensor) -> Tensor:
        """Return views of shape (n, n_views, ...) of a batch of shape (n, ...)."""
        views = batch.repeat_interleave(self.n_views, dim=0)
        for transform in self.transforms:
            views = transform(views)
        return views.unflatten(0, (len(batch), self.n_views))


@dataclass(frozen=True)
class GaussianNoise:
    """Add independent noise to brain voxels, so that no single voxel is trusted.

    A default: it is what repeated scans differ by at the least.

    Parameters
    ----------
    scale : float
        SD of the noise, in the unit of the input (standard deviations after `MapScaler`).

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import GaussianNoise
    >>> brain = torch.zeros(5, 1, 4, 4, 4)
    >>> brain[:, :, 1:3] = 1.0
    >>> noisy = GaussianNoise(scale=0.1)(brain)
    >>> bool((noisy[:, :, 0] == 0).all()), bool((noisy[:, :, 1] != 1).all())
    (True, True)
    """

    scale: float

    def __call__(self, batch: Tensor) -> Tensor:
        """Return a noisy batch."""
        noise = torch.randn_like(batch).mul_(self.scale)
        if batch.ndim == 5:
            noise.mul_((batch != 0).any(dim=1, keepdim=True))
        return noise.add_(batch)


@dataclass(frozen=True)
class RandomShift:
    """Move each map by a few whole voxels, so that registration errors are not learned.

    A default for maps. What leaves the field of view is lost, and what enters is background.

    Parameters
    ----------
    most : int
        Largest shift along each axis, in voxels.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import RandomShift
    >>> RandomShift(most=2)(torch.ones(3, 1, 6, 6, 6)).shape
    torch.Size([3, 1, 6, 6, 6])
    """

    most: int

    def __call__(self, batch: Tensor) -> Tensor:
        """Return a shifted batch."""
        moved = torch.zeros_like(batch)
        shifts = torch.randint(-self.most, self.most + 1, (len(batch), 3))
        # on the CPU, waking torch's threads for each small copy would cost more than the copies
        views = (batch.numpy(), moved.numpy()) if batch.device.type == "cpu" else (batch, moved)
        for sample, target, shift in zip(*views, shifts.tolist(), strict=True):
            taken = tuple(slice(max(0, -s), edge - max(0, s)) for s, edge in _edges(shift, sample))
            given = tuple(slice(max(0, s), edge - max(0, -s)) for s, edge in _edges(shift, sample))
            target[(slice(None), *given)] = sample[(slice(None), *taken)]
        return moved


@dataclass(frozen=True)
class RandomFlip:
    """Mirror maps left and right, as a brain's two halves age alike.

    A default for maps in RAS+ order, whose first axis goes from left to right. Leave it out where
    sides matter, such as for handedness or one-sided disease.

    Parameters
    ----------
    probability : float
        Share of views that are mirrored.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import RandomFlip
    >>> line = torch.arange(3.0).reshape(1, 1, 3, 1, 1)
    >>> RandomFlip(probability=1.0)(line).flatten()
    tensor([2., 1., 0.])
    """

    probability: float

    def __call__(self, batch: Tensor) -> Tensor:
        """Return a batch with some samples mirrored."""
        chosen = torch.rand(len(batch), device=batch.device) < self.probability
        return torch.where(chosen.view(-1, 1, 1, 1, 1), batch.flip(2), batch)


@dataclass(frozen=True)
class RandomAffine:
    """Turn and scale each map a little about its centre.

    Not a default: maps are registered to a template, and interpolation blurs their texture.

    Parameters
    ----------
    degrees : float
        Largest rotation about each axis.
    scale : float, default=0.05
        Largest relative change of size; size itself carries age (atrophy), so keep it small.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import RandomAffine
    >>> RandomAffine(degrees=5)(torch.ones(3, 1, 6, 6, 6)).shape
    torch.Size([3, 1, 6, 6, 6])
    """

    degrees: float
    scale: float = 0.05

    def __call__(self, batch: Tensor) -> Tensor:
        """Return a batch of turned maps, cut to their turned brain."""
        n = len(batch)
        angles = torch.deg2rad((torch.rand(n, 3, device=batch.device) * 2 - 1) * self.degrees)
        sizes = 1 + (torch.rand(n, 1, 1, device=batch.device) * 2 - 1) * self.scale
        matrices = torch.zeros(n, 3, 4, device=batch.device, dtype=batch.dtype)
        matrices[:, :, :3] = _rotations(angles) * sizes
        places = affine_grid(matrices, list(batch.shape), align_corners=False)
        # interpolate values and mask, and divide: background must not leak into the brain
        mask = (batch != 0).any(dim=1, keepdim=True).to(batch.dtype)
        both = grid_sample(torch.cat([batch, mask], dim=1), places, align_corners=False)
        coverage = both[:, -1:]
        return torch.where(coverage >= 0.5, both[:, :-1] / coverage.clamp_min(0.5), 0.0)


@dataclass(frozen=True)
class RandomCutout:
    """Blank a cube of each map, so that no single region decides.

    A default for maps (DeVries & Taylor 2017, Improved regularization of convolutional neural
    networks with cutout): brain that one study covers and another does not is then nothing new to
    the network.

    Parameters
    ----------
    share : float
        Edge of the cube as a share of each axis.
    probability : float, default=0.5
        Share of views that lose a cube.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import RandomCutout
    >>> cut = RandomCutout(share=0.5, probability=1.0)(torch.ones(1, 1, 8, 8, 8))
    >>> int((cut == 0).sum())
    64
    """

    share: float
    probability: float = 0.5

    def __call__(self, batch: Tensor) -> Tensor:
        """Return a batch with blanks."""
        result = batch.clone()
        edges = [max(1, round(self.share * size)) for size in batch.shape[2:]]
        for sample in result:
            if torch.rand(()) < self.probability:
                starts = [
                    int(torch.randint(0, size - edge + 1, ()))
                    for size, edge in zip(batch.shape[2:], edges, strict=True)
                ]
                sample[
                    (slice(None), *(slice(s, s + e) for s, e in zip(starts, edges, strict=True)))
                ] = 0
        return result


@dataclass(frozen=True)
class RandomIntensity:
    """Multiply each map by a factor of its own.

    Not a default: it makes a model blind to absolute stiffness, which falls with age. It is right
    for T1, whose unit is arbitrary, and useful where sites differ by a factor. Apply it to maps
    that were not centred (``MapScaler(with_mean=False)``).

    Parameters
    ----------
    spread : float
        Factors are drawn between ``1 - spread`` and ``1 + spread``, one for each channel.

    Examples
    --------
    >>> import torch
    >>> from mresklearn.nn import RandomIntensity
    >>> RandomIntensity(spread=0.1)(torch.ones(3, 2, 4, 4, 4)).flatten(2).std(dim=2).max()
    tensor(0.)
    """

    spread: float

    def __call__(self, batch: Tensor) -> Tensor:
        """Return a scaled batch."""
        factors = torch.rand(batch.shape[:2], device=batch.device, dtype=batch.dtype)
        factors = 1 + (2 * factors - 1) * self.spread
        return batch * factors.view(*factors.shape, *(1,) * (batch.ndim - 2))


def _edges(shift: list[int], sample: Any) -> Iterable[tuple[int, int]]:
    return zip(shift, sample.shape[1:], strict=True)


def _rotations(angles: Tensor) -> Tensor:
    """Return rotation matrices about x, then y, then z, shape (n, 3, 3)."""
    cos, sin = angles.cos(), angles.sin()
    zero, one = torch.zeros_like(cos[:, 0]), torch.ones_like(cos[:, 0])

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, dim=1).view(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0])
    about_y = matrix(cos[:, 1], zero, sin[:, 1], zero, one, zero, -sin[:, 1], zero, cos[:, 1])
    about_z = matrix(cos[:, 2], -sin[:, 2], zero, sin[:, 2], cos[:, 2], zero, zero, zero, one)
    return about_z @ about_y @ about_x
