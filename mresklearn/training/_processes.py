"""Training in several processes at once, on one machine or many, through accelerate."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.networks import Outputs


class OneProcess:
    """Training in this process alone."""

    rank = 0
    size = 1

    def wrap(self, module: nn.Module) -> Callable[[Tensor], Outputs]:
        """Return what to call in training instead of the module."""
        return module

    def gather(self, outputs: Tensor, n: int) -> Tensor:
        """Return the outputs of the whole batch of n people."""
        return outputs

    def agree(self, value: int) -> int:
        """Return the value of the first process."""
        return value

    def finish(self, module: nn.Module) -> None:
        """Give all processes the same buffers."""


class ManyProcesses(OneProcess):
    """Training together with the processes that ``torchrun`` or ``accelerate launch`` started.

    Each reads and embeds its share of every batch; the embeddings are gathered, so that everybody
    is compared with everybody, and each process follows the gradient of its own.

    Parameters
    ----------
    device : str
        Device of this process.
    """

    def __init__(self, device: str) -> None:
        if find_spec("accelerate") is None:
            raise ImportError(
                "distributed=True needs accelerate: pip install 'mresklearn[distributed]'."
            )
        from accelerate import Accelerator

        self._accelerator: Any = Accelerator(cpu=torch.device(device).type == "cpu")
        self.rank = self._accelerator.process_index
        self.size = self._accelerator.num_processes

    def wrap(self, module: nn.Module) -> Callable[[Tensor], Outputs]:
        """Return the module with gradients averaged over processes."""
        return self._accelerator.prepare_model(module)

    def gather(self, outputs: Tensor, n: int) -> Tensor:
        """Return the outputs of all processes in the order of the batch; own ones with gradient."""
        if self.size == 1:
            return outputs
        most = -(-n // self.size)
        padded = outputs.new_zeros((most, *outputs.shape[1:]))
        padded[: len(outputs)] = outputs.detach()
        parts = self._accelerator.gather(padded).view(self.size, *padded.shape)
        # row i of the batch is row i // size of process i % size
        whole = parts.transpose(0, 1).reshape(-1, *padded.shape[1:])[:n].clone()
        whole[self.rank :: self.size] = outputs
        return whole

    def agree(self, value: int) -> int:
        """Return the value of the first process."""
        from accelerate.utils import broadcast_object_list

        return int(broadcast_object_list([value])[0])

    def finish(self, module: nn.Module) -> None:
        """Give all processes the running statistics of the first."""
        from accelerate.utils import broadcast

        for buffer in module.buffers():
            buffer.copy_(broadcast(buffer))


def processes(distributed: bool, device: str) -> OneProcess:
    """Return the group of processes that trains together."""
    return ManyProcesses(device) if distributed else OneProcess()
