"""
One grid, one unit, one mask
============================

**Files of any grid and unit come out of** :class:`~mresklearn.maps.MapLoader` **comparable.**
Here the same brain is stored twice, as two studies might: at 4 mm in kPa, and turned round, at
5 mm and in Pa.
"""

# %%
# Make the two files
# ------------------
# The second one has another voxel size, a reversed axis and values a thousand times as large.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.image import resample_img

from mresklearn import MapLoader, make_mre_cohort

cohort = make_mre_cohort(n_subjects=1, n_sites=1, random_state=3)
first = nib.load(cohort.maps.stiffness.iloc[0])
second = resample_img(first, target_affine=np.diag([-5.0, 5, 5]), interpolation="linear")
second = nib.Nifti1Image(second.get_fdata(dtype=np.float32) * 1000, second.affine)
path = Path(mkdtemp()) / "second.nii.gz"
second.to_filename(path)

# %%
# Load both
# ---------
# Units are told from the size of the values, grids are compared by their affine, and
# interpolation is normalised by the mask, so that background never leaks into the brain. Two
# units in one column are refused, as they may be a mistake, unless one says that they are none.
files = pd.DataFrame({"stiffness": [cohort.maps.stiffness.iloc[0], path]}, index=["kPa", "Pa"])
loader = MapLoader(voxel_size=5, mixed_units="convert").fit(files)
loaded = np.asarray(loader.transform(files))[:, 0]

# %%
# Look
# ----
stored = [np.asarray(image.dataobj) for image in (first, second)]
figure, axes = plt.subplots(2, 2, figsize=(6.4, 6.6), layout="constrained")
for column in (0, 1):
    for row, volume in enumerate((stored[column], loaded[column])):
        middle = volume[:, :, int(volume.shape[2] * 0.52)]
        shown = np.ma.masked_equal(middle, 0)
        top = 5000 if volume.max() > 100 else 5
        image = axes[row, column].imshow(shown.T, origin="lower", cmap="viridis", vmin=0, vmax=top)
        figure.colorbar(image, ax=axes[row, column], shrink=0.7, label="Pa" if top > 100 else "kPa")
        axes[row, column].set_axis_off()
    size = " x ".join(map(str, stored[column].shape))
    axes[0, column].set_title(f"stored: {size}, {files.index[column]}")
    axes[1, column].set_title("loaded: kPa, one grid")
figure.suptitle("Two files of one brain, before and after loading")
plt.show()
