"""Two processes over gloo train as one does on the same batches: same loss, same weights."""

import os
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

from mresklearn import ContrastiveEncoder

# no random views: each process draws its own
SETTINGS = {
    "width": 4,
    "n_views": 1,
    "noise": 0.0,
    "max_epochs": 3,
    "batch_size": 16,
    "random_state": 0,
    "lr": 1e-2,
}

CASES = {
    "exponential": (48, {}),
    "uneven shares": (45, {"loss": "rank_n_contrast", "accumulate": 2}),  # 15: 8 and 7
    "supervised": (48, {"loss": "l1"}),
}

SCRIPT = textwrap.dedent(
    """
    import sys
    sys.path[:0] = [{folder!r}]
    import numpy as np, torch
    torch.set_num_threads(1)
    from test_distributed import CASES, SETTINGS, people, weights
    from mresklearn import ContrastiveEncoder
    learned = dict()
    for case, (n, extra) in CASES.items():
        encoder = ContrastiveEncoder(**SETTINGS, **extra, distributed=True, device="cpu")
        encoder.fit(*people(n))
        learned[case + " weights"] = weights(encoder)
        learned[case + " losses"] = [epoch["train_loss"] for epoch in encoder.history_]
    np.savez({out!r}, **learned)
    """
)


def people(n):
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 80, n)
    return rng.normal(size=(n, 6)) + age[:, None] / 20, age


def weights(encoder):
    state = encoder.net_.module_.state_dict().values()
    return np.concatenate([value.numpy().ravel() for value in state])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """What two processes learn that are started as torchrun does."""
    folder, port = tmp_path_factory.mktemp("processes"), free_port()
    started, outs = [], []
    for rank in range(2):
        outs.append(str(folder / f"{rank}.npz"))
        script = SCRIPT.format(folder=os.path.dirname(__file__), out=outs[-1])
        environment = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "OMP_NUM_THREADS": "1",
        }
        started.append(subprocess.Popen([sys.executable, "-c", script], env=environment))
    assert [process.wait(timeout=110) for process in started] == [0, 0]
    return [np.load(out) for out in outs]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one(case, learned):
    first, second = learned
    np.testing.assert_array_equal(first[f"{case} weights"], second[f"{case} weights"])
    np.testing.assert_array_equal(first[f"{case} losses"], second[f"{case} losses"])

    n, extra = CASES[case]
    alone = fit_on(orders(n, extra), n, extra)
    losses = [epoch["train_loss"] for epoch in alone.history_]
    np.testing.assert_allclose(losses, first[f"{case} losses"], rtol=1e-5)
    np.testing.assert_allclose(weights(alone), first[f"{case} weights"], rtol=1e-4, atol=1e-5)


def orders(n, extra):
    """Return the batches that the processes agreed on, epoch by epoch."""
    from mresklearn.training._batches import EvenBatches

    generator = torch.Generator()
    epochs = []
    for epoch in range(SETTINGS["max_epochs"]):
        generator.manual_seed(agreed_seed(n, extra) + epoch)
        epochs.append(list(EvenBatches(n, SETTINGS["batch_size"], shuffle=True, order=generator)))
    return epochs


def agreed_seed(n, extra):
    """Return the seed that the first process drew after its initial weights."""
    from mresklearn.training import _net

    drawn = []

    class Asked(Exception):
        pass

    class Group(_net.OneProcess):
        size = 2

        def agree(self, value):
            drawn.append(value)
            raise Asked

    encoder = ContrastiveEncoder(**SETTINGS, **extra)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_net, "processes", lambda *_: Group())
        with pytest.raises(Asked):
            encoder.fit(*people(n))
    return drawn[0]


def fit_on(epochs, n, extra):
    """Fit in one process on given batches."""
    from mresklearn.training import _net

    class Given:
        def __init__(self, *_, **__):
            self.epochs = iter(epochs)

        def __len__(self):
            return len(epochs[0])

        def __iter__(self):
            return iter(next(self.epochs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_net._Training, "_batches", lambda self: Given())
        return ContrastiveEncoder(**SETTINGS, **extra).fit(*people(n))


def test_one_process_alone_is_an_ordinary_fit():
    alone = ContrastiveEncoder(**SETTINGS, distributed=True, device="cpu").fit(*people(32))
    ordinary = ContrastiveEncoder(**SETTINGS).fit(*people(32))
    np.testing.assert_array_equal(weights(alone), weights(ordinary))


def test_without_accelerate_the_way_out_is_named(monkeypatch):
    from mresklearn.training import _processes

    monkeypatch.setattr(_processes, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 'mresklearn\[distributed\]'"):
        ContrastiveEncoder(**SETTINGS, distributed=True, device="cpu").fit(*people(32))
