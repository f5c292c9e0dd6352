"""
Real maps: the brain mask alone tells the study
===============================================

**In the public MRE134 maps the study is read from which voxels are brain, before any stiffness
is looked at.** Five studies cover the brain differently [#]_. This example needs real data.

.. [#] Hiscox et al. (2020), Human Brain Mapping, doi:10.1002/hbm.25192.
"""

# %%
# The folder is found through the environment variable ``MRESKLEARN_DATA``.
import matplotlib.pyplot as plt
import pandas as pd

from mresklearn import MapLoader, MapMasker, MapScaler, fetch_mre134, site_predictability
from mresklearn.baselines import BrainMask

cohort = fetch_mre134(download=False, verbose=0)
people = cohort.participants
loader = MapLoader(voxel_size=8)
probes = {}
for kind, name in {"stiffness": "stiffness", "damping_ratio": "damping ratio"}.items():
    maps = loader.fit_transform(cohort.maps[["stiffness", kind]].T.drop_duplicates().T)
    if not probes:
        probes["brain mask"] = BrainMask().fit_transform(maps)
    features = MapMasker().fit_transform(MapScaler().fit_transform(maps))
    columns = maps.shape[1]
    probes[name] = features.reshape(len(features), columns, -1)[:, -1]
table = pd.DataFrame(
    {name: site_predictability(x, people.site, age=people.age) for name, x in probes.items()}
).T

figure, axis = plt.subplots(figsize=(6.4, 3), layout="constrained")
axis.barh(table.index[::-1], table.balanced_accuracy[::-1])
axis.axvline(table.age_floor.iloc[0], color="C1", label="from age alone")
axis.axvline(table.chance.iloc[0], color="0.4", linestyle=":", label="by guessing")
axis.set(xlabel="balanced accuracy of the study", xlim=(0, 1), title="MRE134: what tells the study")
axis.legend(loc="lower right")
plt.show()
