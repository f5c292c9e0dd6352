"""Pages that the tests read, and what a parser finds in them."""

from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from mresklearn.model_selection import cross_validate_sites
from mresklearn.reporting import person_report, study_report

NASTY = "<script>alert('x')</script> & \"quoted\""
EMPTY = {"meta", "link", "img", "br", "hr", "input", "source", "wbr", "col"}


def controls(n=200, seed=0):
    """Return gaps and ages of controls."""
    random = np.random.default_rng(seed)
    return {
        "control_gaps": random.normal(0, 6, n),
        "control_ages": random.uniform(30, 80, n),
    }


def saliency(signed=False):
    """Return a map with its largest value, 2.5, at x = 12, y = -20, z = 8 mm."""
    affine = np.array([[4.0, 0, 0, -60], [0, 4, 0, -80], [0, 0, 4, -40], [0, 0, 0, 1]])
    values = np.zeros((31, 36, 30), np.float32)
    values[6:26, 8:28, 4:24] = np.random.default_rng(0).uniform(0.1, 1, (20, 20, 20))
    values[18, 15, 12] = 2.5
    if signed:
        values[:15] *= -1
    return nib.Nifti1Image(values, affine)


def person(**changed):
    """Return the report of a person, with everything that can be on it."""
    given = {
        "participant": "sub-012",
        "age": 68.0,
        "predicted": 73.4,
        "interval": (62.6, 84.1),
        "interval_basis": "own site",
        "corrected_gap": 7.4,
        **controls(),
        "quality": {"brain_ml": 1214.0, "outliers_stiffness": 0.008, "unit_stiffness": "Pa"},
        "model": {"name": "ridge", "training": {"people": 210, "sites": ["Mayo", "Utah"]}},
        "details": {"site": "Mayo"},
        "date": "2026-01-31",
    }
    return person_report(**(given | changed))


def cohort(n_sites=5, n_people=24):
    """Return participants of some sites, and features that follow age and site."""
    random = np.random.default_rng(1)
    site = np.repeat([f"site {letter}" for letter in "ABCDEFGHIJ"[:n_sites]], n_people)
    age = random.uniform(20, 80, len(site))
    features = np.outer(age, random.normal(size=6)) + random.normal(0, 30, (len(site), 6))
    features += 20 * random.normal(size=(n_sites, 6))[np.arange(len(site)) // n_people]
    sex = random.choice(["F", "M"], len(site))
    return pd.DataFrame({"site": site, "age": age, "sex": sex}), features


def study(people, features, **changed):
    """Return the report of a study of two models."""
    given = {
        "participants": people,
        "results": {
            name: cross_validate_sites(model, features, people.age, site=people.site)
            for name, model in (("ridge", Ridge()), ("mean age", DummyRegressor()))
        },
        "embeddings": {"before": features, "after": features[:, ::-1] ** 2},
        "model": {"features": "six"},
        "date": "2026-01-31",
    }
    return study_report(**(given | changed))


class Parsed(HTMLParser):
    """Elements, text and headings of a page; refuses tags that do not close."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.headings, self.text, self._open = [], [], "", []
        self.feed(page)
        assert not self._open, f"left open: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            return
        data = data.replace("\N{NO-BREAK SPACE}", " ")
        self.text = " ".join(f"{self.text} {data}".split())
        for tag in self._open[::-1]:
            if tag in {"h1", "h2", "h3", "h4"}:
                self.headings.append((int(tag[1]), data))
                break

    def all(self, *tags):
        """List the attributes of elements."""
        return [attributes for tag, attributes in self.elements if tag in tags]
