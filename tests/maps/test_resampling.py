"""Grids and mask-normalised resampling, against brute force and invariances."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mresklearn.maps._grid import Grid, to_canonical
from mresklearn.maps._resampling import resample_inside_mask


def grid(shape, size=2.0, origin=(0.0, 0.0, 0.0)):
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = origin
    return Grid.from_arrays(shape, affine)


def brute_force(values, mask, source, target):
    """Sum over all source voxels in float64, straight from the formula in the docstring."""
    out = np.zeros(target.shape)
    coverage = np.zeros(target.shape)
    ratio = np.maximum(1.0, target.voxel_size / source.voxel_size)
    for index in np.ndindex(target.shape):
        at = (target.matrix @ [*index, 1])[:3]
        centre = (at - source.matrix[:3, 3]) / source.voxel_size
        weights = []
        for axis in range(3):
            line = np.arange(-20, source.shape[axis] + 20)
            w = np.clip(1 - np.abs(line - centre[axis]) / ratio[axis], 0, None)
            weights.append((w / w.sum())[20:-20])
        w = np.einsum("i,j,k->ijk", *weights)
        covered = (w * mask).sum()
        coverage[index] = covered
        if covered >= 0.5:
            out[index] = (w * mask * values).sum() / covered
    return out, coverage


@settings(deadline=None, max_examples=15)
@example(seed=322, size=3.0, shift=0.0)
@given(
    seed=st.integers(0, 1000),
    size=st.sampled_from([1.3, 2.0, 3.0, 4.0, 5.1]),
    shift=st.floats(-3, 3),
)
def test_resampling_equals_brute_force(seed, size, shift):
    rng = np.random.default_rng(seed)
    source = grid((7, 6, 5))
    target = grid((4, 3, 4), size, (shift, 0.3, -shift))
    mask = rng.random(source.shape) < 0.7
    values = (rng.normal(3, 1, source.shape) * mask).astype(np.float32)
    result, inside = resample_inside_mask(values, mask, source, target)
    expected, coverage = brute_force(values.astype(float), mask, source, target)
    clear = np.abs(coverage - 0.5) > 1e-6  # exactly one half may round either way
    np.testing.assert_array_equal(inside[clear], coverage[clear] > 0.5)
    both = inside & (coverage >= 0.5)
    np.testing.assert_allclose(result[both], expected[both], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1.5, 2.0, 4.0, 8.0])
def test_a_constant_map_stays_constant_to_its_edge(size):
    source = grid((20, 22, 18))
    mask = np.zeros(source.shape, bool)
    mask[3:15, 4:17, 5:14] = True
    values = np.where(mask, np.float32(3.0), np.float32(0))
    result, inside = resample_inside_mask(values, mask, source, source.with_voxel_size(size))
    assert inside.any()
    np.testing.assert_allclose(result[inside], 3.0, rtol=1e-6)
    assert (result[~inside] == 0).all()


def test_the_same_grid_changes_nothing():
    rng = np.random.default_rng(0)
    mask = rng.random((5, 6, 7)) < 0.5
    values = (rng.normal(size=(5, 6, 7)) * mask).astype(np.float32)
    result, inside = resample_inside_mask(values, mask, grid((5, 6, 7)), grid((5, 6, 7)))
    np.testing.assert_array_equal(result, values)
    np.testing.assert_array_equal(inside, mask)


def test_an_oblique_volume_comes_out_where_it_lies():
    straight = grid((24, 24, 24), 2.0, (-24, -24, -24))
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Grid.from_arrays(straight.shape, turn @ straight.matrix)
    index = np.indices(oblique.shape).reshape(3, -1)
    x, y, z = nib.affines.apply_affine(oblique.matrix, index.T).T.reshape(3, *oblique.shape)
    values = (3 + 0.05 * x + 0.02 * y - 0.01 * z).astype(np.float32)
    mask = x**2 + y**2 + z**2 < 15**2
    values *= mask
    result, inside = resample_inside_mask(values, mask, oblique, straight)
    index = np.indices(straight.shape).reshape(3, -1)
    x, y, z = nib.affines.apply_affine(straight.matrix, index.T).T.reshape(3, *straight.shape)
    core = x**2 + y**2 + z**2 < 11**2  # away from the edge interpolation of a plane is exact
    assert inside[core].all()
    expected = 3 + 0.05 * x + 0.02 * y - 0.01 * z
    np.testing.assert_allclose(result[core], expected[core], atol=0.02)


def test_reorientation_moves_values_with_their_place():
    data = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    affine = np.array([[0, -3.0, 0, 9], [2.0, 0, 0, -5], [0, 0, -1.0, 7], [0, 0, 0, 1]])
    image = nib.Nifti1Image(data, affine)
    canonical, canonical_grid = to_canonical(data, affine), Grid.of_image(image)
    assert canonical.shape == canonical_grid.shape == (3, 2, 4)
    back = np.linalg.inv(canonical_grid.matrix) @ affine
    for index in np.ndindex(data.shape):
        at = tuple(np.round((back @ [*index, 1])[:3]).astype(int))
        assert canonical[at] == data[index]


def test_mni_grid_of_2_mm_becomes_45_54_45_at_4_mm():
    mni = grid((91, 109, 91), 2.0, (-90, -126, -72))
    assert mni.with_voxel_size(4).shape == (45, 54, 45)
    assert mni.with_voxel_size(2).same_as(mni)
    assert mni.with_voxel_size(4).same_space_as(mni, tolerance=4)


def test_same_space_looks_at_the_field_of_view():
    mni = grid((91, 109, 91), 2.0, (-90, -126, -72))
    moved = grid((91, 109, 91), 2.0, (-80, -126, -72))
    assert not mni.same_as(moved)
    assert not mni.same_space_as(moved, tolerance=4)


def test_the_same_grid_has_every_voxel_within_a_tenth_of_a_voxel():
    mni = grid((91, 109, 91), 2.0, (-90, -126, -72))
    assert mni.same_as(grid((91, 109, 91), 2.0, (-90, -126, -72.19)))
    assert not mni.same_as(grid((91, 109, 91), 2.0, (-90, -126, -72.21)))
    assert not mni.same_as(grid((91, 109, 91), 2.009, (-90, -126, -72))), "1 mm off at the end"
    assert mni.same_as(grid((91, 109, 91), 2.001, (-90, -126, -72)))
    assert not mni.same_as(grid((91, 109, 90), 2.0, (-90, -126, -72)))
