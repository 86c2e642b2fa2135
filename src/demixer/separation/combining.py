"""From the names of models to one separator: one of them, several averaged, one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from demixer.errors import UserError
from demixer.separation.augmented import AugmentedSeparator
from demixer.separation.averaging import AveragedSeparator
from demixer.separation.chain import ChainedSeparator
from demixer.separation.cutting import Cutting
from demixer.separation.separator import Separator
from demixer.separation.waveforms import WaveformSeparator


@dataclass(frozen=True)
class Combination:
    """Which models separate a song, and how they work together.

    Args:
        models: names, folders or files, as :meth:`Separator.from_pretrained` takes them; of several the mean is taken.
        weights: theirs in the mean; None: all alike.
        then: ``stem=MODEL``: that stem is taken apart by that model, in the order of the list.
        augmented: whether mirrored and inverted copies of a mixture are averaged.
        cutting: changes of the models' windows.
    """

    models: Sequence[str]
    weights: Sequence[float] | None = None
    then: Sequence[str] = ()
    augmented: bool = False
    cutting: Cutting = field(default_factory=Cutting)

    def together(self) -> dict[str, Any]:
        """How the models work together, as plain data; empty for one model as it is."""
        stems = [step.partition("=")[0] for step in self.then]
        return {
            name: value
            for name, value in (("weights", self.weights), ("then", stems), ("tta", self.augmented))
            if value
        }

    def load(self, device: str = "auto", precision: str = "auto") -> WaveformSeparator:
        """Load the models.

        Raises:
            UserError: one of them cannot be loaded or does not take the windows, or they do not go together.
        """

        def load(model: str) -> Separator:
            separator = Separator.from_pretrained(model, device, precision)
            self.cutting.apply(separator)
            return separator

        if self.weights is not None and len(self.weights) != len(self.models):
            counts = f"{len(self.weights)} for {len(self.models)}"
            raise UserError(f"`--weights` must be one for each model: {counts} (-c MODEL -c MODEL …)")
        separator: WaveformSeparator = self._tried(load(self.models[0]))
        if len(self.models) > 1:
            loaded = [separator, *(self._tried(load(model)) for model in self.models[1:])]
            separator = AveragedSeparator(loaded, self.weights)
        return self._chained(separator, load)

    def _tried(self, separator: WaveformSeparator) -> WaveformSeparator:
        return AugmentedSeparator(separator) if self.augmented else separator

    def _chained(self, separator: WaveformSeparator, load: Callable[[str], Separator]) -> WaveformSeparator:
        for step in self.then:
            stem, equals, model = step.partition("=")
            if not (stem and equals and model):
                raise UserError(f"`--then` (={step!r}) must be a stem and a model, as in drums=MODEL")
            separator = ChainedSeparator(separator, stem, self._tried(load(model)))
        return separator
