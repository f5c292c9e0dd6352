"""Every public name is documented, and every parameter of an estimator is validated."""

import inspect

import pytest
from sklearn.base import BaseEstimator

import mresklearn
import mresklearn.nn

PUBLIC = {
    **{name: getattr(mresklearn, name) for name in mresklearn.__all__ if name != "__version__"},
    **{f"nn.{name}": getattr(mresklearn.nn, name) for name in mresklearn.nn.__all__},
}
ESTIMATORS = {
    name: public
    for name, public in PUBLIC.items()
    if inspect.isclass(public) and issubclass(public, BaseEstimator)
}


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_has_summary_parameters_and_example(name):
    text = inspect.getdoc(PUBLIC[name])
    assert text.splitlines()[0].endswith("."), "the first line is a sentence"
    assert "Examples\n--------" in text
    assert "Parameters\n----------" in text


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_names_every_parameter(name):
    text = inspect.getdoc(PUBLIC[name])
    for parameter in inspect.signature(PUBLIC[name]).parameters.values():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            assert f"{parameter.name} :" in text or f"{parameter.name}," in text, parameter.name


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_parameter_has_a_constraint(name):
    estimator = ESTIMATORS[name]()
    assert set(estimator.get_params()) == set(estimator._parameter_constraints)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_constructor_only_stores_keywords(name):
    signature = inspect.signature(ESTIMATORS[name])
    assert all(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values())
    assert set(vars(ESTIMATORS[name]())) == set(signature.parameters)
