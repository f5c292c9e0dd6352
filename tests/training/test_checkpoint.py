"""A fit that was killed goes on to the same weights as one that was not."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from mresklearn import ContrastiveEncoder
from mresklearn.exceptions import DataError

SETTINGS = {"width": 4, "max_epochs": 12, "random_state": 3, "lr_schedule": "one_cycle"}

CASES = {
    "plain": {},
    "early stopping": {"early_stopping": True, "patience": 4, "validation_fraction": 0.3},
    "accumulated and balanced": {"accumulate": 3, "balance": "age"},
    "supervised": {"loss": "soft_label"},
    "dynamic": {"loss": "dynamic"},
}


def people():
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, 90)
    return rng.normal(size=(90, 6)) + age[:, None] / 20, age


def same(first, second):
    return all(
        torch.equal(a, b)
        for a, b in zip(
            first.net_.module_.state_dict().values(),
            second.net_.module_.state_dict().values(),
            strict=True,
        )
    )


class Killed(BaseException):
    """What stands for a kill inside one process: nothing may catch it."""


def interrupted(encoder, after, monkeypatch):
    """Fit, and die right after the checkpoint of an epoch was written."""
    from mresklearn.training import _net

    write = _net.Checkpoint.write

    def write_and_die(self, state):
        write(self, state)
        if state["epochs"] == after:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(_net.Checkpoint, "write", write_and_die)
        with pytest.raises(Killed):
            encoder.fit(*people())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("after", [1, 5])
def test_a_killed_fit_goes_on_bit_for_bit(case, after, tmp_path, monkeypatch):
    settings = {**SETTINGS, **CASES[case]}
    whole = ContrastiveEncoder(**settings).fit(*people())
    interrupted(ContrastiveEncoder(checkpoint=tmp_path, **settings), after, monkeypatch)
    assert len(list(tmp_path.iterdir())) == 1

    resumed = ContrastiveEncoder(checkpoint=tmp_path, **settings).fit(*people())
    assert same(whole, resumed)
    assert [e["train_loss"] for e in whole.history_] == [e["train_loss"] for e in resumed.history_]
    assert not list(tmp_path.iterdir())


def test_no_finished_epoch_is_repeated(tmp_path, monkeypatch):
    encoder = ContrastiveEncoder(checkpoint=tmp_path, **SETTINGS)
    interrupted(encoder, 7, monkeypatch)
    from mresklearn.training import _net

    begun = []
    begin = _net._Training.begin_epoch
    monkeypatch.setattr(
        _net._Training,
        "begin_epoch",
        lambda self, epoch: (begun.append(epoch), begin(self, epoch))[1],
    )
    encoder.fit(*people())
    assert begun == [7, 8, 9, 10, 11]


def test_a_process_killed_by_the_system_is_survived(tmp_path):
    """A real SIGKILL in the middle of an epoch, in another process."""
    script = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = [{os.path.dirname(__file__)!r}]
        import torch
        torch.set_num_threads(1)
        from test_checkpoint import SETTINGS, people
        from mresklearn import ContrastiveEncoder
        X, age = people()
        settings = {{**SETTINGS, "max_epochs": 400}}
        encoder = ContrastiveEncoder(checkpoint={str(tmp_path)!r}, **settings).fit(X, age)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("*.pt")):
        assert process.poll() is None, "the fit ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    settings = {**SETTINGS, "max_epochs": 400}
    (kept,) = tmp_path.glob("*.pt")
    assert 1 <= torch.load(kept, weights_only=True)["epochs"] < 400
    resumed = ContrastiveEncoder(checkpoint=tmp_path, **settings).fit(*people())
    assert same(ContrastiveEncoder(**settings).fit(*people()), resumed)


def test_another_setting_or_cohort_does_not_resume(tmp_path, monkeypatch):
    interrupted(ContrastiveEncoder(checkpoint=tmp_path, **SETTINGS), 2, monkeypatch)
    X, age = people()
    changes = [
        ({"sigma": 3.0}, X, age),
        ({"random_state": 4}, X, age),
        ({}, X + 1, age),
        ({}, X, age + 1),
        ({}, X[:-1], age[:-1]),
    ]
    for parameters, features, ages in changes:
        settings = {**SETTINGS, **parameters}
        kept = ContrastiveEncoder(checkpoint=tmp_path, **settings).fit(features, ages)
        assert same(kept, ContrastiveEncoder(**settings).fit(features, ages))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fit_that_cannot_be_repeated_keeps_no_checkpoint(tmp_path):
    encoder = ContrastiveEncoder(checkpoint=tmp_path, max_epochs=1)
    with pytest.raises(ValueError, match="give an integer random_state"):
        encoder.fit(*people())


def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch):
    encoder = ContrastiveEncoder(checkpoint=tmp_path, **SETTINGS)
    interrupted(encoder, 2, monkeypatch)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(DataError, match=f"{kept.name}.*Delete it"):
        encoder.fit(*people())
