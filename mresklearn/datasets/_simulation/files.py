"""Files of a simulated cohort: names, images, and the notes that say that they are simulated."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from .parameters import REGIONS
from .t1 import t1_site_maps

__all__ = ["DESCRIPTION", "FILENAMES", "write_map", "write_shared_files"]

FILENAMES = {
    "stiffness": "{participant_id}/anat/{participant_id}_desc-stiffness_mre.nii.gz",
    "damping_ratio": "{participant_id}/anat/{participant_id}_desc-dampingratio_mre.nii.gz",
    "t1": "{participant_id}/anat/{participant_id}_T1w.nii.gz",
}
# the public maps are rounded to 1 Pa and 1e-4
DECIMALS = {"stiffness": 3, "damping_ratio": 4, "t1": 2}
DESCRIPTION = """\
Simulated MR elastography and T1 maps, not measurements: published effects of age, sex, disease and
site on the MNI152 anatomy. They show whether a method does what it should, because the truth is
known (cohort.truth). They never show that MRE tells more than MRI.
"""


def write_map(folder, scan, kind, anatomy, values):
    """Write one map.

    Parameters
    ----------
    folder : Path
        Folder of the cohort.
    scan : str
        Id of the scan.
    kind : {"stiffness", "damping_ratio", "t1"}
        Map kind.
    anatomy : Anatomy
        The shared brain.
    values : ndarray of shape (n_voxels,)
        Values of the brain voxels.
    """
    path = folder / FILENAMES[kind].format(participant_id=scan)
    volume = anatomy.as_volume(np.round(values, DECIMALS[kind]))
    _write_image(path, volume, anatomy.affine)


def write_shared_files(folder, anatomy, sites, site_names, kinds):
    """Write the regions, the effects of the sites and the description of the folder.

    Parameters
    ----------
    folder : Path
        Folder of the cohort.
    anatomy : Anatomy
        The shared brain.
    sites : Sites
        Effects of the sites.
    site_names : list of str
        Names of the sites.
    kinds : sequence of str
        Map kinds.

    Returns
    -------
    site_effects : DataFrame
        Path of the map of every site and map kind.
    regions : str
        Path of the label image.
    """
    site_effects = pd.DataFrame(index=pd.Index(site_names, name="site"), columns=list(kinds))
    for kind in kinds:
        fields = t1_site_maps(anatomy, sites) if kind == "t1" else sites.fields[kind]
        for name, field in zip(site_names, fields, strict=True):
            path = folder / "site_effects" / f"{name}_{kind}.nii.gz"
            _write_image(path, anatomy.as_volume(np.round(field, 4)), anatomy.affine)
            site_effects.loc[name, kind] = str(path)
    regions = folder / "desc-regions_dseg.nii.gz"
    _write_image(regions, anatomy.as_volume(anatomy.labels, np.uint8), anatomy.affine)
    names = pd.DataFrame({"index": range(1, len(REGIONS) + 1), "name": REGIONS})
    names.to_csv(folder / "desc-regions_dseg.tsv", sep="\t", index=False)
    content = {
        "Name": "Simulated MR elastography cohort",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [
            {"Name": "mresklearn.datasets.make_mre_cohort", "Description": DESCRIPTION}
        ],
    }
    (folder / "dataset_description.json").write_text(json.dumps(content, indent=2))
    return site_effects, str(regions)


def _write_image(path, values, affine):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values, affine)
    # code 4: MNI152 space
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=4)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
