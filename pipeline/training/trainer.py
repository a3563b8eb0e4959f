"""Train a run by METHOD's recipe, in a loop that can resume at any step."""

import math
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from pipeline.campaign.campaign import Campaign
from pipeline.campaign.identity import Run
from pipeline.core import provenance
from pipeline.core.errors import UserError
from pipeline.core.record import Record
from pipeline.data.augmentation import TrainingBatches
from pipeline.data.evaluation_batches import evaluation_batches
from pipeline.data.prepared import Prepared
from pipeline.evaluation import silent_layers
from pipeline.evaluation.build_network import backbone_for, load_trained, network_for
from pipeline.evaluation.device import open_device
from pipeline.evaluation.measure import BIN, Measurement, NotFinite, measure
from pipeline.mirror.params_and_tags import run_mirror
from pipeline.training.checkpoint import restore_checkpoint, save_checkpoint
from pipeline.training.not_finite import first_not_finite, lost_weights
from pipeline.training.optimizer_and_schedule import learning_rate_schedule, optimizer_for
from pipeline.training.processes import Team


class TrainingFailed(UserError):
    """A failure that another try would repeat."""


class Stopped(Exception):
    """An end that was asked for: everything is saved, and the next try resumes there."""


class Trainer:
    """The training of one run from its checkpoint to its last epoch, in one process or in several that take the same steps: each
    computes its share of every batch, and the first of them writes.

    `say` takes a line for the log; `asked_to_stop` tells whether to save and end: then Stopped is raised after the step.
    `watch`: check every step's loss at once, for which a GPU has to wait; else at each checkpoint. None: only on a CPU.
    """

    def __init__(self, campaign: Campaign, run: Run, say, asked_to_stop=lambda: False, watch: bool | None = None):
        self.campaign, self.run, self.say, self.asked_to_stop = campaign, run, say, asked_to_stop
        self.team = Team()
        self.folder = campaign.weights_folder(run)
        self.compute = open_device(run.precision, run.threads)
        self.watch = self.compute.device.type == "cpu" if watch is None else watch
        data = Prepared(run.data.folder)
        self.batches, self.data = TrainingBatches(data, run.recipe, run.seed, self.team.number, self.team.count), data
        if not self.batches.steps:
            raise UserError(
                f"run {run.id}: a batch of {run.recipe['batch']} is larger than the {len(self.batches.split)} training images"
            )
        self.backbone = backbone_for(campaign.catalogue, run)
        if run.parent:
            load_trained(campaign, run.parent, self.backbone)
        self.backbone.to(self.compute.device, self.compute.dtype)
        self.network = network_for(campaign.catalogue, run.method, run.options, self.backbone)
        self.parallel = self.team.parallel(self.network, self.compute.device)
        self.optimizer = optimizer_for(self.network, run.recipe)
        self.schedule, self.epochs = learning_rate_schedule(self.optimizer, run.recipe)
        self.scaler = self.compute.scaler()
        catalogue = campaign.catalogue
        loss, options = catalogue.methods[run.method].loss, catalogue.method_options(run.method, run.options)
        self.loss = lambda output, target: loss(output, target, options)
        self.record = Record(self.folder / "record.jsonl", self.team.writes)
        self.totals = torch.zeros(2, dtype=torch.float64, device=self.compute.device)  # this process's loss and ponder x images

    def train(self) -> None:
        """Train to the last epoch, from the checkpoint where there is one, and close the record."""
        self.resume()
        while self.position.epoch < self.epochs:
            self.train_epoch()
            self.finish_epoch()
        self.record.append("end", best_on_test=self.position.best, seconds=round(self.position.seconds, 3))

    @property
    def checkpoint(self) -> Path:
        """Return the path of the last checkpoint."""
        return self.folder / "checkpoint.pt"

    def resume(self) -> None:
        """Restore weights, optimizer and record from the checkpoint, or begin a new record."""
        self.position = restore_checkpoint(self.checkpoint, self.run.id, self.backbone, self.optimizer, self.scaler, self.say)
        self.record.restore(self.position.record)
        sums = [self.position.sums.get(key, 0.0) * self.team.writes for key in ("loss", "ponder")]
        self.totals += torch.tensor(sums, dtype=torch.float64).to(self.totals)
        is_complete = self.position.epoch == self.epochs
        self.say(f"computes in {self.compute.precision}, {self.compute.kernels}")
        is_new = not self.position.record
        if is_new:
            self.record.append("start", run=self.run.id, provenance=self.provenance())
        elif not is_complete:
            self.check_same_arithmetic(self.record.entries()[0]["provenance"])
            self.record.append("resume", at_epoch=self.position.epoch, at_step=self.position.step, provenance=self.provenance())
            self.say(f"goes on at epoch {self.position.epoch}, step {self.position.step}")
        self.mirror = run_mirror(self.campaign, self.run, self.record.entries()[0])
        if is_new:
            if self.run.parent:
                self.record_epoch({})
            self.save()  # before telling MLflow: after a kill in between, it would be told of another attempt
        self.tell_mlflow()
        self.saved_at = time.monotonic()

    def tell_mlflow(self) -> None:
        """Mirror the record to MLflow; only the process that writes does."""
        if self.team.writes:
            self.mirror.live(self.record.entries())

    def check_same_arithmetic(self, provenance_at_start: dict) -> None:
        """Check that a resumed run computes as it began; elsewhere `auto` may be another precision, and a compiler missing.

        Raises UserError where the precision is another, or one has kernels and the other none. With other instructions,
        layers or compilers the run goes on: the record's `resume` names them, as its start does.
        """
        kernels_at_start, kernels = provenance_at_start["kernels"], self.compute.kernels
        changes = [(provenance_at_start["precision"], self.compute.precision)]
        changes += [(kernels_at_start.split(":")[0], kernels.split(":")[0])]
        for was, now in changes:
            if was != now:
                raise UserError(
                    f"run {self.run.id} was trained in {was} so far, this machine computes in {now}: "
                    f"go on where it began, or delete {self.folder} to train it here from the start"
                )
        if kernels != kernels_at_start:
            self.say(
                f"began with {kernels_at_start}; other instructions, layers or compilers give near numbers, not the same bits"
            )

    def provenance(self) -> dict:
        """Collect the code, versions, machine, arithmetic and data of this attempt."""
        facts = {"git": provenance.git_state(), "versions": provenance.versions(), "device": self.compute.name}
        facts |= {"kernels": self.compute.kernels, "processes": self.team.count}
        return facts | {"precision": self.compute.precision, "threads": self.run.threads, "data": self.data.meta}

    def train_epoch(self) -> None:
        """Take the remaining steps of the epoch; save a checkpoint where one is due. Raises Stopped where asked to stop."""
        position = self.position
        self.schedule.step(position.epoch)
        self.network.train()
        loader = self.batches.epoch(position.epoch, position.step, self.campaign.experiment.loader_workers)
        bar = tqdm(
            loader,
            f"{self.run.id} {position.epoch + 1}/{self.epochs}",
            self.batches.steps,
            initial=position.step,
            leave=False,
            disable=not (self.team.writes and sys.stderr.isatty()),
        )
        clock = time.monotonic()
        for images, target in bar:
            position.sums["waiting"] = position.sums.get("waiting", 0.0) + time.monotonic() - clock
            self.step(images.to(self.compute.device, self.compute.dtype), target.to(self.compute.device, self.compute.dtype))
            position.step += 1
            now = time.monotonic()
            position.sums["seconds"] = position.sums.get("seconds", 0.0) + now - clock
            position.seconds += now - clock
            clock = now
            is_due = now - self.saved_at >= 60 * self.campaign.experiment.checkpoint_minutes
            stop, is_due = self.team.any(self.asked_to_stop(), is_due)
            if stop or is_due:
                self.save()
                clock = time.monotonic()
            if stop:
                raise Stopped(f"epoch {position.epoch + 1}, step {position.step}")

    def step(self, images: torch.Tensor, target: torch.Tensor) -> None:
        """Take one training step on images [B, 3, S, S] and target probabilities [B, C].

        Raises TrainingFailed, where each step is watched, if the loss or a weight is not finite.
        """
        with self.compute.autocast():
            output = self.parallel(images)
        loss = self.loss(output, target)
        if self.watch and not math.isfinite(mean := self.team.sum(loss.detach()).item() / self.team.count):
            raise self.failure_in_layer(mean, images)
        self.optimizer.zero_grad()
        self.descend(loss)
        if self.watch:
            self.check_weights(f"after epoch {self.position.epoch + 1}, step {self.position.step + 1}")
        ponder = output.ponder_loss.detach() if hasattr(output, "ponder_loss") else torch.zeros_like(loss)
        self.totals += torch.stack([loss.detach(), ponder]).double() * len(images)

    def descend(self, loss: torch.Tensor) -> None:
        """Take the optimizer's step along the loss's gradient, which a scaler keeps within fp16's range."""
        if self.scaler is None:
            loss.backward()
            self.optimizer.step()
            return
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def failure_in_layer(self, loss: float, images: torch.Tensor) -> TrainingFailed:
        """Make the error for a loss that is not finite, with its step and the first layer whose output is not finite."""

        def run_again():
            with self.compute.autocast():
                self.network(images)

        where = first_not_finite(self.network, run_again)
        return self.failure(loss, f"epoch {self.position.epoch + 1}, step {self.position.step + 1}, {where}")

    def check_weights(self, where: str) -> None:
        """Raise TrainingFailed if a weight is not finite; `where` is the epoch and step, in words."""
        if name := lost_weights(self.network):
            raise TrainingFailed(
                f"run {self.run.id}: {name} is not finite {where}: lower the learning rate or use another precision"
            )

    def failure(self, loss: float, where: str) -> TrainingFailed:
        """Make the error for a loss that is not finite; `where` is the epoch and step, in words."""
        return TrainingFailed(
            f"run {self.run.id}: the loss is {loss} in {where}: lower the learning rate or use another precision"
        )

    def fail(self, reason: str) -> None:
        """Add the failure to record and MLflow; the checkpoint is from before it and does not contain it."""
        self.record.append("failed", epoch=self.position.epoch, step=self.position.step, reason=reason)
        self.tell_mlflow()

    def save(self) -> None:
        """Save a checkpoint of the current step. Raises TrainingFailed where loss or weights are not finite."""
        loss, ponder = self.finite_totals()
        self.check_weights(f"in epoch {self.position.epoch + 1}, by step {self.position.step}")
        self.position.sums |= {"loss": loss, "ponder": ponder}
        self.position.record = self.record.text
        if self.team.writes:
            save_checkpoint(self.checkpoint, self.run.id, self.position, self.backbone, self.optimizer, self.scaler)
        self.saved_at = time.monotonic()

    def finite_totals(self) -> tuple[float, float]:
        """Sum loss and ponder over the epoch's images so far. Raises TrainingFailed where the loss is not finite."""
        loss, ponder = self.team.sum(self.totals).tolist()
        if not math.isfinite(loss):
            raise self.failure(loss, f"epoch {self.position.epoch + 1}, by step {self.position.step}")
        return loss, ponder

    def finish_epoch(self) -> None:
        """Measure, record and save an epoch, and only then tell MLflow, so that MLflow never is ahead of the checkpoint."""
        position = self.position
        images = self.batches.steps * self.run.recipe["batch"]
        loss, ponder = self.finite_totals()
        metrics = {"train_loss": loss / images, "learning_rate": self.optimizer.param_groups[0]["lr"]}
        metrics |= {"train_ponder": ponder / images} if ponder else {}
        metrics["images_per_second"] = images / position.sums["seconds"]
        metrics["waiting_for_data"] = position.sums["waiting"] / position.sums["seconds"]
        position.epoch, position.step, position.sums = position.epoch + 1, 0, {}
        self.totals.zero_()
        entry = self.record_epoch(metrics)
        self.save()
        self.tell_mlflow()
        logged = {key: entry["metrics"][key] for key in ("train_loss", "heldout_accuracy", "test_accuracy", "average_tokens")}
        logged_text = ", ".join(f"{key} {value:.4g}" for key, value in logged.items())
        self.say(f"epoch {position.epoch}/{self.epochs}: {logged_text}, {metrics['images_per_second']:.0f} images/s")
        (stop,) = self.team.any(self.asked_to_stop())
        if stop and position.epoch < self.epochs:
            raise Stopped(f"the end of epoch {position.epoch}")

    def record_epoch(self, metrics: dict) -> dict:
        """Record an epoch: the metrics of its training, and accuracy and tokens measured now (epoch 0: before a retraining)."""
        epoch = self.position.epoch
        heldout, test = (self.measure(split) for split in ("heldout", "test"))
        heldout_metrics = heldout.summary()
        metrics |= {"heldout_accuracy": heldout_metrics["accuracy"], "test_accuracy": test.summary()["accuracy"]}
        token_keys = ("average_tokens", "tokens_by_block", "merged_by_block", "halted_by_block")
        metrics |= {key: heldout_metrics[key] for key in token_keys}
        if epoch and metrics["test_accuracy"] > self.position.best.get("test_accuracy", -1):
            self.position.best = {"epoch": epoch, "test_accuracy": metrics["test_accuracy"]}
        warnings = self.warnings(heldout)
        metrics["warnings"] = len(warnings)
        step = epoch * self.batches.steps
        entry = self.record.append(
            "epoch", epoch=epoch, metrics=metrics, **({"step": step, "warnings": warnings} if warnings else {})
        )
        if warnings:
            self.say(f"warning: after epoch {epoch}, step {step}: {', '.join(warnings)}")
        if heldout.channel_0 is not None and epoch in (0, self.epochs):
            self.record.append(
                "channel_0", epoch=epoch, histogram={"bin": BIN, "split": "heldout", "blocks": heldout.channel_0.tolist()}
            )
        return entry

    def warnings(self, heldout: Measurement) -> list[str]:
        """List warnings of layers that never spike, on the first held-out images, and of tokens that all halt at once."""
        images = next(evaluation_batches(self.data, "heldout"))[0].to(self.compute.device, self.compute.dtype)
        return silent_layers.warnings(silent_layers.silent_layers(self.network, images, self.compute.autocast), heldout)

    def measure(self, split: str) -> Measurement:
        """Measure the network on a split, in the arithmetic of the training. Raises TrainingFailed if a logit is not finite."""
        compute_arguments = {"device": self.compute.device, "dtype": self.compute.dtype, "arithmetic": self.compute.autocast}
        batches = evaluation_batches(self.data, split, number=self.team.number, processes=self.team.count)
        try:
            return measure(self.network, batches, **compute_arguments, gather=self.team.gather)
        except NotFinite as error:
            raise TrainingFailed(f"run {self.run.id}: after epoch {self.position.epoch}, {split} images: {error}") from error
