"""From a path to a network: one file, or one per target, in any layout that is known."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from demixer.checkpoints.fitting import check_finite, check_fit
from demixer.checkpoints.locating import locate_networks
from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.model.layouts import read_network
from demixer.model.layouts.saved import SavedNetwork
from demixer.model.live.state import State, joined, part_of
from demixer.model.separation_network import SeparationNetwork
from demixer.sources import SOURCES


class NetworkBank(nn.Module):
    """Several networks as one: each estimates its own targets from the same mixture, one after the other.

    They may be live ones, which go on from their states side by side (:class:`LiveNetwork`).

    Args:
        networks: of one sample rate, window and latency, with different targets.

    Attributes:
        targets: of all networks, in the order of the output.
        window_samples, latency_samples: as in :class:`SeparationNetwork`.

    Shapes:
        (B, C, L) → (B, S, C, L), S being the sum of the networks'.

    Raises:
        UserError: the networks do not go together.
    """

    def __init__(self, networks: Sequence[SeparationNetwork]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(sorted(networks, key=_place))
        self.targets = tuple(target for network in self.networks for target in network.targets)
        self.sample_rate_hz = _common("sample rates", {network.sample_rate_hz for network in networks})
        self.window_samples = _common("windows", {network.window_samples for network in networks})
        self.latency_samples = _common("latencies", {network.latency_samples for network in networks})
        twice = sorted({target for target in self.targets if self.targets.count(target) > 1})
        if twice:
            raise UserError(f"several checkpoints here estimate {', '.join(twice)}: give the path of the one you mean")

    def only(self, targets: Collection[str]) -> Self:
        """The same networks without those that estimate none of the targets."""
        return NetworkBank([network.only(targets) for network in self.networks if {*network.targets} & {*targets}])

    def forward(self, mixture: Tensor) -> Tensor:
        return torch.cat([network(mixture) for network in self.networks], dim=1)

    @property
    def hop_samples(self) -> int:
        return _common("hops", {network.hop_samples for network in self.networks})

    def latency_in_blocks(self, block_samples: int) -> int:
        return self.networks[0].latency_in_blocks(block_samples)

    def initial_state(self, batch: int, channels: int, device: torch.device | None = None) -> State:
        states = (network.initial_state(batch, channels, device) for network in self.networks)
        return joined({str(i): state for i, state in enumerate(states)})

    def step(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        steps = [network.step(samples, part_of(state, str(i))) for i, network in enumerate(self.networks)]
        stems, states = zip(*steps, strict=True)
        return torch.cat(stems, dim=1), joined({str(i): own for i, own in enumerate(states)})


def load_pretrained(path: Path) -> tuple[SeparationNetwork | NetworkBank, dict[str, Any]]:
    """Load the network or the networks of a model.

    Returns:
        The network on the CPU, and the model's ``audio_params`` (of several: the first's that has some).

    Raises:
        UserError: there is no model, it is unsafe or damaged, or its weights do not fit its settings.
    """
    networks, params = [], {}
    for folder, file in locate_networks(path):
        saved = read_fitting(folder, file)
        network = build_network(saved.hparams)
        network.load_state_dict(dict(saved.weights))
        networks.append(network)
        params = params or saved.hparams.get("audio_params") or {}
    return (networks[0] if len(networks) == 1 else NetworkBank(networks)), params


def read_fitting(folder: Path, file: Path) -> SavedNetwork:
    """Read a network and make sure that its weights are those of its settings, before anything is built from them.

    Raises:
        UserError: it is unsafe or damaged, its settings describe no network, its weights do not fit them, or are no
            finite numbers.
    """
    saved = read_network(folder, file)
    try:
        with torch.device("meta"):  # sizes only: settings may describe a network that no memory holds
            sizes = build_network(saved.hparams)
    except UserError as error:
        raise UserError(f"`{file}`: {error}") from error
    check_fit(sizes, saved.weights, file)
    weights = {key: value.float() for key, value in saved.weights.items()}
    check_finite(weights, file)
    return SavedNetwork(saved.hparams, weights)


def _place(network: SeparationNetwork) -> int:
    """Vocals, drums, bass, other, then the rest as they come."""
    first = network.targets[0]
    return SOURCES.index(first) if first in SOURCES else len(SOURCES)


def _common(name: str, values: set[Any]) -> Any:
    if len(values) > 1:
        raise UserError(f"these checkpoints are not one model: their {name} differ ({sorted(map(str, values))})")
    return values.pop()
