"""
The kernel says who counts as of similar age
============================================

**A width of two years leaves an anchor of a small batch two or three partners.** Where there are
thousands of training people that is enough; with a hundred, take a wider one.
"""

# %%
# For batches of 32 people of 20 to 80 years: how the attraction falls with the difference in
# age, and how many people attract an anchor, in effect, for each width ``sigma``.
import matplotlib.pyplot as plt
import numpy as np

widths = (2, 5, 10)
years = np.linspace(0, 30, 121)
rng = np.random.default_rng(0)
ages = rng.uniform(20, 80, (500, 32))
differences = np.abs(ages[:, :1] - ages[:, 1:])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for sigma, style in zip(widths, ("-", "--", "-."), strict=True):
    left.plot(years, np.exp(-(years**2) / (2 * sigma**2)), style, label=f"sigma = {sigma} years")
left.set(xlabel="difference in age (years)", ylabel="attraction", title="The kernel of an anchor")
left.legend()

partners = [np.exp(-(differences**2) / (2 * sigma**2)).sum(axis=1) for sigma in widths]
right.boxplot(partners, tick_labels=[str(s) for s in widths], whis=(5, 95), showfliers=False,
              medianprops={"color": "C1"})  # fmt: skip
right.set(xlabel="sigma (years)", ylabel="partners of an anchor", title="In a batch of 32 people")
plt.show()
