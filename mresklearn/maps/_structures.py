"""Label numbers of deep and hind-brain structures in FreeSurfer segmentations."""

from __future__ import annotations

# FreeSurferColorLUT.txt, left then right; the same in aseg, aparc+aseg and aparc.a2009s+aseg
FREESURFER_STRUCTURES: dict[str, tuple[int, ...]] = {
    "thalamus": (10, 49),
    "caudate": (11, 50),
    "putamen": (12, 51),
    "pallidum": (13, 52),
    "hippocampus": (17, 53),
    "amygdala": (18, 54),
    "accumbens": (26, 58),
    "brain_stem": (16,),
    "cerebellum": (7, 8, 46, 47),
    "ventral_dc": (28, 60),
}
"""Ten structures and their labels in FreeSurfer's aseg, left and right (and the white matter and
cortex of the cerebellum) merged: give it as `regions` of :class:`RegionAverager`."""
