"""Slices show values where they are, on the right side, over anatomy of the same space."""

import base64
import io

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from nilearn.datasets import load_mni152_template
from reporting.pages import saliency

from mresklearn.exceptions import DataError
from mresklearn.reporting._brain_slices import draw_slices


def pixels(slice_):
    """Return red, green, blue and opacity of a slice."""
    head, data = slice_.source.split(",")
    assert head == "data:image/png;base64"
    return imread(io.BytesIO(base64.b64decode(data)))


def coloured(picture):
    """Mark what is not grey."""
    return np.ptp(picture[..., :3], axis=-1) > 0.1


def spot(x, y, z):
    """Return a map in MNI space with one spot."""
    template = load_mni152_template(resolution=4)
    places = np.moveaxis(np.indices(template.shape), 0, -1)
    points = nib.affines.apply_affine(template.affine, places)
    near = np.linalg.norm(points - [x, y, z], axis=-1) < 12
    return nib.Nifti1Image(near.astype(np.float32), template.affine)


@pytest.mark.parametrize(("x", "y"), [(30, 20), (-30, 20), (30, -40), (-30, -40)])
def test_right_is_right_and_front_is_on_top(x, y):
    found = draw_slices(spot(x, y, 20))
    shown = [coloured(pixels(one)) for one in found.slices]
    best = int(np.argmax([marks.sum() for marks in shown]))
    assert abs(found.slices[best].z - 20) < 12
    rows, columns = np.nonzero(shown[best])
    height, width = shown[best].shape
    assert (columns.mean() > width / 2) == (x > 0)
    assert (rows.mean() < height / 2) == (y > -18)  # the middle of the template


def test_storage_order_does_not_matter():
    image = saliency()
    flipped = image.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))  # other order, other signs
    assert flipped.shape != image.shape
    one, other = (draw_slices(this, None) for this in (image, flipped))
    assert one.peak_at == other.peak_at == (12.0, -20.0, 8.0)
    assert [s.source for s in one.slices] == [s.source for s in other.slices]


def test_what_is_outside_the_brain_is_transparent():
    picture = pixels(draw_slices(spot(0, -18, 20)).slices[4])
    assert picture[0, 0, 3] == 0
    assert picture[picture.shape[0] // 2, picture.shape[1] // 2, 3] == 1
    assert 0.3 < picture[..., 3].mean() < 0.9


def test_the_strongest_fifth_is_drawn_unless_told_otherwise():
    values = np.asarray(saliency().dataobj)
    found = draw_slices(saliency(), None)
    assert found.threshold == pytest.approx(np.quantile(values[values > 0], 0.8))
    everything = draw_slices(saliency(), None, threshold=0.0)
    drawn, every = (
        np.mean([coloured(pixels(one)).mean() for one in these.slices])
        for these in (found, everything)
    )
    assert drawn / every == pytest.approx(0.2, abs=0.04)


def test_signs_have_two_colours_and_one_scale():
    found = draw_slices(saliency(signed=True), None)
    assert found.low == -found.high
    picture = np.concatenate([pixels(one).reshape(-1, 4) for one in found.slices])
    red, blue = picture[:, 0] - picture[:, 2] > 0.2, picture[:, 2] - picture[:, 0] > 0.2
    assert red.sum() > 100
    assert blue.sum() > 100


def test_words_stand_for_each_slice():
    found = draw_slices(saliency(), None)
    assert len(found.slices) == 8
    assert all(
        f"z = {one.z:.0f} mm" in one.alt.replace("\N{MINUS SIGN}", "-") for one in found.slices
    )
    heights = [one.z for one in found.slices]
    assert heights == sorted(heights)


def test_a_map_in_another_space_is_refused():
    away = nib.Nifti1Image(np.ones((10, 10, 10), np.float32), np.diag([4.0, 4, 4, 1]) + 0)
    away.affine[:3, 3] = 300
    moved = nib.Nifti1Image(away.get_fdata(dtype=np.float32), away.affine)
    with pytest.raises(DataError, match=r"Only 0% of the saliency map lies in the brain"):
        draw_slices(moved)
    assert len(draw_slices(moved, None).slices) == 8


def test_an_empty_map_is_refused():
    empty = nib.Nifti1Image(np.full((5, 5, 5), np.nan, np.float32), np.eye(4))
    with pytest.raises(DataError, match="zero or NaN everywhere"):
        draw_slices(empty)
