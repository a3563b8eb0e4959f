"""What makes a training or a pass as fast as another: kinds, and the device that a speed belongs to. Imports no torch.

Two trainings are of one kind where data set, network, timesteps, method, options, batch and what prepares their images are the
same; a seed, epochs and learning rates change no speed, nor does the number of images. A pass (an evaluation, or the end of an
epoch) is of a kind by the same, but for batch and recipe.
"""

from dataclasses import asdict, dataclass

from pipeline.campaign.identity import Evaluation, Run
from pipeline.core.checksums import digest

PREPARES = ("batch", "mixup", "flip", "rand_augment", "erasing")  # of a recipe


@dataclass(frozen=True)
class Device:
    """What hours are hours of. `kernels`: as `models.native.build.describe` begins; `threads` of one training."""

    name: str
    precision: str
    threads: int
    kernels: str

    @classmethod
    def of(cls, name: str, precision: str, threads: int, kernels: str) -> "Device":
        return cls(name, precision, threads, kernels.split(":")[0])

    @classmethod
    def told(cls, content: dict) -> "Device":
        """From a file that has a device's fields among others."""
        return cls.of(content["device"], content["precision"], content["threads"], content["kernels"])

    def __str__(self) -> str:
        return f"{self.name}, {self.threads} thread{'s' * (self.threads > 1)}, {self.precision}, {self.kernels}"

    @property
    def fields(self) -> dict:
        fields = asdict(self)
        return {"device": fields.pop("name")} | fields


def kind_of(run: Run) -> str:
    """The kind of a training."""
    told = run.identity
    recipe = {key: value for key, value in told["recipe"].items() if key in PREPARES}
    return digest([run.data.name, told["network"], run.method, told["options"], recipe])


def pass_of(run: Run, timesteps: int | None = None, options: dict | None = None) -> str:
    """The kind of a pass over images: of a training's own ones, or at other timesteps, with other options."""
    told = run.identity
    network = told["network"] | ({"timesteps": timesteps} if timesteps else {})
    return digest([run.data.name, network, run.method, told["options"] if options is None else options])


def pass_kind(evaluation: Evaluation) -> str:
    return pass_of(evaluation.run, evaluation.timesteps, evaluation.hashed_options)
