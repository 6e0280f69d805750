"""One call of a training: from the newest whole checkpoint to the last step, or to a signal, without a trace.

What a step does depends on the checkpoint before it and on (seed, purpose, step), on nothing else. So a run that was
stopped anywhere and started again ends with the same bytes as the run that was not. Of several processes each has a
session; all make the same steps, and the leader owns the folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airctl import scenes
from airctl.config import Config
from airctl.errors import InputFileError, NotFiniteError
from airctl.evaluation.collapse import CountState, advice
from airctl.group import ALONE, Group
from airctl.inference import Images, passes, usual_of
from airctl.model import Proposals
from airctl.objectives import Labels
from airctl.results.training import TrainResult
from airctl.training import checkpoint
from airctl.training.frames import Watched, due
from airctl.training.labels import LabelledOrder, labels_of
from airctl.training.learner import Learner, training_step
from airctl.training.memory import require_room_for_a_batch
from airctl.training.randomness import SceneOrder
from airctl.training.run import RunFolder
from airctl.training.signals import StopRequest
from airctl.training.tensorboard import Board

USUAL = 2000  # scenes from which it is learnt what is usual, at most
METRICS_EVERY = 10  # steps between two lines of metrics.jsonl
RETRIES = 3  # times a loss that is not finite is met with half the learning rate


@dataclass
class State:
    """What a run carries from step to step beside its tensors; state.json of a checkpoint."""

    step: int = 0  # steps done
    validation_accuracy: float | None = None  # the latest
    best_accuracy: float | None = None
    best_step: int | None = None
    retries: int = 0  # how often the loss was not finite; each halves the learning rates


@dataclass(frozen=True)
class Progress:
    """What is shown while it trains."""

    step: int
    steps: int
    elbo: float
    validation_accuracy: float | None  # the latest
    milestone: bool  # whether this step is one of those at which the validation scenes are looked at


class Session:
    """One call of ``train``: from the newest whole checkpoint to the last step, or to a signal.

    Making one checks that config, scenes and memory fit together, and writes nothing: ``ConfigError``.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Config,
        split: scenes.KeptScenes,
        device: torch.device,
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
        warn: Callable[[str], None],
        board: Board | None,
        group: Group = ALONE,
    ) -> None:
        self.folder, self.config, self.device, self.group = folder, config, device, group
        self.on_progress, self.say, self.warn, self.board = on_progress, say, warn, board
        self.collapses: list[str | None] = []  # what each validation of this call found
        held_out = config.train.validation
        images = Images(split.images, device)
        number = len(images) - held_out
        self.order: SceneOrder | LabelledOrder = SceneOrder(config.train.seed, max(0, number), config.train.batch)
        self.labels: Labels | None = None
        if config.train.labels:
            self.labels = labels_of(split, number, config).to(device)
            self.order = LabelledOrder(self.order, self.labels, config.train.label_share)
        self.images, self.validation = images[:number], images[number:]
        self.watched = Watched.of(split, number)
        self.validation_counts = torch.from_numpy(split.counts[number:].astype(np.int64)).to(device)
        require_room_for_a_batch(config)
        self.learner = Learner.build(config, device)
        self.log_p = self.learner.model.count(self.learner.model.reading_size)  # at the end of its annealing
        self.state = State()

    def run(self) -> TrainResult:
        started = time.monotonic()
        self.origin = self.folder.origin()
        with StopRequest() as stop:
            self._restore()
            while self.state.step < self.config.train.steps and not self.group.highest(stop.signum or 0):
                try:
                    self._step()
                except NotFiniteError as error:
                    self._slow_down(error)
            if self.state.step not in checkpoint.steps(self.folder.checkpoints):
                self._save()
            stopped_by = self.group.highest(stop.signum or 0) or None  # and none ends before all is saved
        if self.group.leads:
            self.folder.write_metrics_csv()
        if self.board is not None:
            self.board.close()
        seconds = time.monotonic() - started
        run = str(self.folder.path)
        return TrainResult(run, self.state.step, seconds, self.state.validation_accuracy, stopped_by)

    def _step(self) -> None:
        settings, state = self.config.train, self.state
        indices = self.order.at(state.step)[self.group.rows(settings.batch)]
        images, slowdown = self.images.batch(indices), 0.5**state.retries
        labels = None if self.labels is None else self.labels[torch.from_numpy(indices)]
        surrogate = training_step(self.learner, self.config, images, state.step, slowdown, labels, self.group)
        self._require_finite_weights()
        state.step += 1
        row: dict[str, Any] = {"step": state.step, "elbo": surrogate.elbo.mean().item()}
        milestone = state.step % settings.validate_every == 0 or state.step == settings.steps
        if milestone and len(self.validation):
            row |= self._validate()
        if self.group.leads and (state.step % METRICS_EVERY == 0 or len(row) > 2):
            self.folder.append_metrics(row)
            if self.board is not None:
                self.board.add(row)
        if due(state.step) or state.step == settings.steps:
            self._watch()
        self.on_progress(Progress(state.step, settings.steps, row["elbo"], state.validation_accuracy, milestone))
        if state.step == settings.steps:
            self._learn_what_is_usual()
        if state.step in (state.best_step, settings.steps) or state.step % settings.checkpoint_every == 0:
            self._save()

    def _require_finite_weights(self) -> None:
        """A finite gradient can still move them out of the numbers: such weights must not reach a checkpoint."""
        if not torch.isfinite(torch.nn.utils.get_total_norm(list(self.learner.modules.parameters()))):
            raise NotFiniteError(f"the weights are not finite at step {self.state.step}")

    def _watch(self) -> None:
        if self.group.leads and len(self.watched.images):
            self.folder.write_frame(self.watched.frame(self.learner.model, self.log_p, self.state.step))

    def _learn_what_is_usual(self) -> None:
        """How well scenes are explained that were held out, so that pictures of another kind can be told."""
        model, network = self.learner.model, self.learner.model.network
        scenes = self.validation if len(self.validation) else self.images[:USUAL]
        if isinstance(network, Proposals) and len(scenes):
            network.usual.copy_(usual_of(model, scenes[:USUAL], self.log_p))

    def _validate(self) -> dict[str, float]:
        """Counts and ELBO on the scenes held out from the train split, under the prior at the annealing's end."""
        model = self.learner.model
        chunks = passes(model, self.validation, self.log_p, model.mean_noise, self.group)
        found = CountState.of(model, chunks, self.validation_counts, self.group)
        self._warn_of_collapse(found)
        if found.accuracy is None:
            return {"validation_elbo": found.elbo}
        self.state.validation_accuracy = found.accuracy
        if self.state.best_accuracy is None or found.accuracy > self.state.best_accuracy:
            self.state.best_accuracy, self.state.best_step = found.accuracy, self.state.step
        return {"validation_accuracy": found.accuracy, "validation_elbo": found.elbo}

    def _warn_of_collapse(self, found: CountState) -> None:
        """Once a kind, when two validations in a row find it; early on, and while objects cost little, it is normal."""
        kind = found.collapse()
        early = self.state.step < self.config.train.steps / 10 or not self.learner.model.count.settled(self.state.step)
        self.collapses.append(None if early else kind)
        if kind is not None and self.collapses[-2:] == [kind, kind] and self.collapses[:-1].count(kind) == 1:
            self.warn(f"step {self.state.step}: {advice(kind, found, self.config)}")

    def _save(self) -> None:
        if not self.group.leads:
            return
        self.folder.sync_metrics()
        learner, state = self.learner, self.state
        told = asdict(state) | self.origin
        checkpoint.save(self.folder.checkpoints, state.step, learner.modules, learner.optimizers, told)
        self._tidy()

    def _tidy(self) -> None:
        """Let ``last`` and ``best`` name what the state says, and delete what is neither new nor chosen."""
        folder, settings, state = self.folder.checkpoints, self.config.train, self.state
        there = checkpoint.steps(folder)
        checkpoint.point(folder, "last", state.step)
        if state.best_step in there:
            checkpoint.point(folder, "best", state.best_step)
        keep = {0, state.best_step, *there[-settings.keep_last :]}
        keep |= {step for step in there if settings.keep_every and step % settings.keep_every == 0}
        checkpoint.prune(folder, keep)

    def _restore(self) -> None:
        """Begin with the newest checkpoint. The leader reads it; the others are given what it holds."""
        held = self.group.told(self._from_newest)
        if not self.group.leads:
            self.state = State(**self.learner.take(held))

    def _from_newest(self) -> bytes:
        newest, told = checkpoint.newest_valid(self.folder.checkpoints)
        for sentence in told:
            self.say(sentence)
        if newest is None:
            self._watch()
            self._save()
        else:
            values = checkpoint.load(newest, self.learner.modules, self.learner.optimizers)
            self.state = _state_from(values, newest)
            self._tidy()  # the process that wrote it may have been killed before it could
            self.say(f"resumed at step {self.state.step} from {newest}")
        self.folder.rewind_metrics(self.state.step)
        return self.learner.held(asdict(self.state)) if self.group.size > 1 else b""

    def _slow_down(self, error: NotFiniteError) -> None:
        """Go back to the newest checkpoint and go on with half the learning rate, a bounded number of times."""
        retries = self.state.retries + 1
        if retries > RETRIES:
            raise NotFiniteError(
                f"{error}, with a learning rate {2**RETRIES} times smaller too; the newest checkpoint is kept: "
                "try a smaller optimiser.lr or optimiser.clip=10.0"
            ) from error
        self.say(f"{error}: going back to the newest checkpoint with half the learning rate")
        self._restore()
        self.state.retries = max(retries, self.state.retries)


def _state_from(values: Mapping[str, Any], path: Path) -> State:
    """The state of a checkpoint; ``InputFileError`` for values that no run has had."""
    state = State(**{name: values.get(name, default) for name, default in asdict(State()).items()})
    counts, accuracies = (state.step, state.best_step, state.retries), (state.validation_accuracy, state.best_accuracy)
    if not (
        all(n is None or (type(n) is int and n >= 0) for n in counts)
        and all(a is None or (type(a) is float and 0 <= a <= 1) for a in accuracies)
        and (state.best_step is None) == (state.best_accuracy is None) == (state.validation_accuracy is None)
        and (state.best_step or 0) <= state.step
        and (state.best_accuracy or 0.0) >= (state.validation_accuracy or 0.0)
        and state.retries is not None
        and state.retries <= RETRIES
    ):
        raise InputFileError(f"{path / 'state.json'} holds values that no run has had: the checkpoint is damaged")
    return state
