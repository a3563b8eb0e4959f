"""The training loop of METHOD's recipe, resumable at any step."""

import math
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from models import native
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
    """Asked to end, with everything saved: the next try goes on there."""


class Trainer:
    """One run from where its checkpoint stands to its last epoch, in one process or in several that do the same in step: each
    has its share of every batch, and the first of them writes.

    `say` takes a line for the log; `asked_to_stop` tells whether to save and end: then Stopped is raised after the step.
    `watch`: look at each step's loss as it comes, which a GPU would have to wait for; else at each checkpoint.
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
        self.resume()
        while self.position.epoch < self.epochs:
            self.train_epoch()
            self.finish_epoch()
        self.record.append("end", best_on_test=self.position.best, seconds=round(self.position.seconds, 3))

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def resume(self) -> None:
        """Weights, optimizer and record as the checkpoint has them, or a new record."""
        self.position = restore_checkpoint(self.checkpoint, self.run.id, self.backbone, self.optimizer, self.scaler, self.say)
        self.record.restore(self.position.record)
        sums = [self.position.sums.get(key, 0.0) * self.team.writes for key in ("loss", "ponder")]
        self.totals += torch.tensor(sums, dtype=torch.float64).to(self.totals)
        complete = self.position.epoch == self.epochs
        self.say(f"computes in {self.compute.precision}, {native.describe()}")
        new = not self.position.record
        if new:
            self.record.append("start", run=self.run.id, provenance=self.provenance())
        elif not complete:
            self.same_arithmetic(self.record.entries()[0]["provenance"])
            self.record.append("resume", at_epoch=self.position.epoch, at_step=self.position.step, provenance=self.provenance())
            self.say(f"goes on at epoch {self.position.epoch}, step {self.position.step}")
        self.mirror = run_mirror(self.campaign, self.run, self.record.entries()[0])
        if new:
            if self.run.parent:
                self.record_epoch({})
            self.save()  # before MLflow hears of it: else it would hear of another attempt after a kill
        self.tell_mlflow()
        self.saved_at = time.monotonic()

    def tell_mlflow(self) -> None:
        if self.team.writes:
            self.mirror.live(self.record.entries())

    def same_arithmetic(self, before: dict) -> None:
        """`auto` may mean something else on another machine, and a compiler be gone; a run stays as it began."""
        kind = {"was": before["kernels"].split(":")[0], "is": native.describe().split(":")[0]}
        for was, now in ((before["precision"], self.compute.precision), (kind["was"], kind["is"])):
            if was != now:
                raise UserError(
                    f"run {self.run.id} was trained in {was} so far, this machine computes in {now}: "
                    f"go on where it began, or delete {self.folder} to train it here from the start"
                )

    def provenance(self) -> dict:
        facts = {"git": provenance.git_state(), "versions": provenance.versions(), "device": self.compute.name}
        facts |= {"kernels": native.describe(), "processes": self.team.count}
        return facts | {"precision": self.compute.precision, "threads": self.run.threads, "data": self.data.meta}

    def train_epoch(self) -> None:
        """The steps of the epoch that are not yet taken."""
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
            due = now - self.saved_at >= 60 * self.campaign.experiment.checkpoint_minutes
            stop, due = self.team.any(self.asked_to_stop(), due)
            if stop or due:
                self.save()
                clock = time.monotonic()
            if stop:
                raise Stopped(f"epoch {position.epoch + 1}, step {position.step}")

    def step(self, images: torch.Tensor, target: torch.Tensor) -> None:
        with self.compute.autocast():
            output = self.parallel(images)
        loss = self.loss(output, target)
        if self.watch and not math.isfinite(mean := self.team.sum(loss.detach()).item() / self.team.count):
            raise self.lost(mean, images)
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

    def lost(self, loss: float, images: torch.Tensor) -> TrainingFailed:
        """A loss that is not finite, with its step and the layer in which it began."""

        def again():
            with self.compute.autocast():
                self.network(images)

        where = first_not_finite(self.network, again)
        return self.failure(loss, f"epoch {self.position.epoch + 1}, step {self.position.step + 1}, {where}")

    def check_weights(self, where: str) -> None:
        if name := lost_weights(self.network):
            raise TrainingFailed(
                f"run {self.run.id}: {name} is not finite {where}: lower the learning rate or use another precision"
            )

    def failure(self, loss: float, where: str) -> TrainingFailed:
        return TrainingFailed(
            f"run {self.run.id}: the loss is {loss} in {where}: lower the learning rate or use another precision"
        )

    def fail(self, reason: str) -> None:
        """Into record and MLflow; the checkpoint before it knows nothing of it."""
        self.record.append("failed", epoch=self.position.epoch, step=self.position.step, reason=reason)
        self.tell_mlflow()

    def save(self) -> None:
        """A checkpoint of this very step."""
        loss, ponder = self.finite_totals()
        self.check_weights(f"in epoch {self.position.epoch + 1}, by step {self.position.step}")
        self.position.sums |= {"loss": loss, "ponder": ponder}
        self.position.record = self.record.text
        if self.team.writes:
            save_checkpoint(self.checkpoint, self.run.id, self.position, self.backbone, self.optimizer, self.scaler)
        self.saved_at = time.monotonic()

    def finite_totals(self) -> tuple[float, float]:
        """Loss and ponder summed over the epoch's images so far. Raises TrainingFailed where the loss is lost."""
        loss, ponder = self.team.sum(self.totals).tolist()
        if not math.isfinite(loss):
            raise self.failure(loss, f"epoch {self.position.epoch + 1}, by step {self.position.step}")
        return loss, ponder

    def finish_epoch(self) -> None:
        """Measure, record, save, and only then tell MLflow, which so never runs ahead of the checkpoint."""
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
        shown = {key: entry["metrics"][key] for key in ("train_loss", "heldout_accuracy", "test_accuracy", "average_tokens")}
        told = ", ".join(f"{key} {value:.4g}" for key, value in shown.items())
        self.say(f"epoch {position.epoch}/{self.epochs}: {told}, {metrics['images_per_second']:.0f} images/s")
        (stop,) = self.team.any(self.asked_to_stop())
        if stop and position.epoch < self.epochs:
            raise Stopped(f"the end of epoch {position.epoch}")

    def record_epoch(self, metrics: dict) -> dict:
        """An epoch's line: what training gave, and accuracy and tokens measured now (epoch 0: before a retraining)."""
        epoch = self.position.epoch
        heldout, test = (self.measure(split) for split in ("heldout", "test"))
        told = heldout.summary()
        metrics |= {"heldout_accuracy": told["accuracy"], "test_accuracy": test.summary()["accuracy"]}
        metrics |= {key: told[key] for key in ("average_tokens", "tokens_by_block", "merged_by_block", "halted_by_block")}
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
        """What is dead in the network as it is now; spikes are listened for on the first held-out images."""
        images = next(evaluation_batches(self.data, "heldout"))[0].to(self.compute.device, self.compute.dtype)
        return silent_layers.warnings(silent_layers.silent_layers(self.network, images, self.compute.autocast), heldout)

    def measure(self, split: str) -> Measurement:
        """In the arithmetic of the training, as the evaluation is."""
        place = {"device": self.compute.device, "dtype": self.compute.dtype, "arithmetic": self.compute.autocast}
        batches = evaluation_batches(self.data, split, number=self.team.number, processes=self.team.count)
        try:
            return measure(self.network, batches, **place, gather=self.team.gather)
        except NotFinite as error:
            raise TrainingFailed(f"run {self.run.id}: after epoch {self.position.epoch}, {split} images: {error}") from error
