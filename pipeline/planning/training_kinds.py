"""Sort trainings and passes into kinds of equal speed, and name the device that a speed belongs to. Imports no torch.

Two trainings are of one kind where data set, network, timesteps, method, options, batch and the preparation of their images are
the same; a seed, epochs and learning rates change no speed, nor does the number of images. A pass (an evaluation, or the end of
an epoch) is of a kind by the same, but for batch and recipe.
"""
# Tested in tests/pipeline/planning/test_plan.py

from dataclasses import asdict, dataclass

from pipeline.campaign.identity import Evaluation, Run
from pipeline.core.checksums import digest

INSTRUCTION_SETS = (
    "AMX",
    "AVX-512 BF16",
    "AVX-512",
    "AVX2",
    "SSE",
    "NEON",
    "no vector instructions",
)  # as models/native/vectors.h names them
SPEED_FIELDS = ("batch", "mixup", "flip", "rand_augment", "erasing")  # fields of a recipe


@dataclass(frozen=True)
class Device:
    """The device that hours belong to. `kernels`: as `ComputeDevice.kernels` begins; `threads` of one training.

    Files from before vectors had several widths name no instruction set; their hours are not those of kernels that do.
    """

    name: str
    precision: str
    threads: int
    kernels: str

    @classmethod
    def of(cls, name: str, precision: str, threads: int, kernels: str) -> "Device":
        """Create a device; of `kernels` only the part before the first colon counts, and the instruction set behind it."""
        kind, _, details = kernels.partition(": ")
        instruction_set = details.split(", ")[0]
        return cls(name, precision, threads, f"{kind}: {instruction_set}" if instruction_set in INSTRUCTION_SETS else kind)

    @classmethod
    def from_fields(cls, content: dict) -> "Device":
        """Create a device from the content of a file that has its fields among others."""
        return cls.of(content["device"], content["precision"], content["threads"], content["kernels"])

    def __str__(self) -> str:
        return f"{self.name}, {self.threads} thread{'s' * (self.threads > 1)}, {self.precision}, {self.kernels}"

    @property
    def fields(self) -> dict:
        """Give the fields as files name them."""
        fields = asdict(self)
        return {"device": fields.pop("name")} | fields


def kind_of(run: Run) -> str:
    """Compute the kind of a training, a digest."""
    identity = run.identity
    recipe = {key: value for key, value in identity["recipe"].items() if key in SPEED_FIELDS}
    return digest([run.data.name, identity["network"], run.method, identity["options"], recipe])


def pass_of(run: Run, timesteps: int | None = None, options: dict | None = None) -> str:
    """Compute the kind of a pass over images: of a training's own ones, or at other timesteps, with other options."""
    identity = run.identity
    network = identity["network"] | ({"timesteps": timesteps} if timesteps else {})
    return digest([run.data.name, network, run.method, identity["options"] if options is None else options])


def pass_kind(evaluation: Evaluation) -> str:
    """Compute the kind of an evaluation's pass."""
    return pass_of(evaluation.run, evaluation.timesteps, evaluation.hashed_options)
