"""
An analysis of variance of the gap finds sites where there are none
===================================================================

**Whether a prediction carries the site has to be asked at equal age.** A model draws
predictions towards the mean age, so sites of older people have a more negative gap, without any
scanner effect. :func:`~mresklearn.confounds.site_effect_test` asks at equal age.
"""

# %%
# Two hundred studies without a site effect: three sites of different age, and predictions that
# are drawn towards the mean. A test that holds its level gives small p values as rarely as
# large ones.
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import f_oneway

from mresklearn import site_effect_test

site = np.repeat(["A", "B", "C"], 30)
p_anova, p_at_equal_age = [], []
for seed in range(200):
    rng = np.random.default_rng(seed)
    age = rng.normal(np.repeat([45, 50, 55], 30), 10)
    predicted = 50 + 0.6 * (age - 50) + rng.normal(0, 5, 90)
    gap = predicted - age
    p_anova.append(f_oneway(*(gap[site == name] for name in "ABC")).pvalue)
    test = site_effect_test(
        predicted, site, age, method="nested_f", n_permutations=99, random_state=0
    )
    p_at_equal_age.append(test.p_value)

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained", sharey=True)
bins = np.linspace(0, 1, 11)
for axis, p, name in zip(
    axes,
    (p_anova, p_at_equal_age),
    ("analysis of variance of the gap", "test at equal age"),
    strict=True,
):
    axis.hist(p, bins=bins, color="C1" if axis is axes[0] else "C0", edgecolor="white")
    axis.axhline(20, color="0.3", linestyle=":")
    share = np.mean(np.array(p) <= 0.05)
    axis.set(xlabel="p", title=f"{name}:\np of 0.05 or less in {share:.0%} of studies")
axes[0].set_ylabel("simulated studies")
axes[0].annotate("what chance gives", (1, 21), ha="right", va="bottom", fontsize=9)
plt.show()
