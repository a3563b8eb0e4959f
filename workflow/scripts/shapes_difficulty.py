"""Are the built-in shapes of the right difficulty? Out of reach for a linear classifier, learnt by a small Spikformer.

python -m workflow.scripts.shapes_difficulty, from the repository's root: prints both test accuracies and the time each
training took, and exits with 1 where the linear classifier reaches 60 % or the Spikformer doesn't pass 85 %. About five
minutes on two cores. Dimensions: B batch, N images, P pixel values, C classes.
"""

import sys
import time
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.spikformer import Spikformer
from pipeline.datasets import shapes

LINEAR_BELOW, SPIKFORMER_ABOVE = 60.0, 85.0  # percent
THREADS = 2
TEST_IMAGES = 2000
LINEAR_IMAGES, PENALTIES, ITERATIONS = 10_000, (0.0, 0.03, 0.3), 100
SPIKFORMER_IMAGES, EPOCHS, BATCH = 4000, 4, 32
LEARNING_RATE, WEIGHT_DECAY, WARM_UP = 4e-3, 0.06, 0.1  # warm-up as a share of all steps


def main() -> int:
    torch.set_num_threads(THREADS)
    train, test = load(max(LINEAR_IMAGES, SPIKFORMER_IMAGES), seed=0), load(TEST_IMAGES, seed=1)
    with timed("linear classifier, the best penalty on the test images themselves"):
        linear = max(linear_accuracy(train, test, penalty) for penalty in PENALTIES)
    with timed("Spikformer-2-64"):
        spikformer = spikformer_accuracy(train, test)
    print(f"test accuracy: linear {linear:.1f} % (must stay below {LINEAR_BELOW:.0f} %)")
    print(f"test accuracy: Spikformer {spikformer:.1f} % (must be above {SPIKFORMER_ABOVE:.0f} %)")
    return 0 if linear < LINEAR_BELOW and spikformer > SPIKFORMER_ABOVE else 1


def load(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images float32 [N, 3, S, S] in [-1, 1] and labels int64 [N]."""
    images, labels, _ = shapes.draw(count, seed=seed)
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1, torch.from_numpy(labels)


@contextmanager
def timed(what: str):
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.0f} s", flush=True)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Percent of the logits [N, C] that are largest at the label [N]."""
    return (logits.argmax(1) == labels).float().mean().item() * 100


def linear_accuracy(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], penalty: float) -> float:
    """Test accuracy of multinomial logistic regression on standardised pixels [N, P], by full-batch L-BFGS."""
    pixels, labels = train[0][:LINEAR_IMAGES].flatten(1), train[1][:LINEAR_IMAGES]
    mean, std = pixels.mean(0), pixels.std(0)
    pixels = (pixels - mean) / std
    model = nn.Linear(pixels.shape[1], len(shapes.CLASSES))
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(pixels), labels) + penalty * model.weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    with torch.no_grad():
        fitted = accuracy(model(pixels), labels)
        found = accuracy(model((test[0].flatten(1) - mean) / std), test[1])
    slope = max(p.grad.abs().max().item() for p in model.parameters())
    print(
        f"linear, L2 penalty {penalty:g}: training {fitted:.1f} %, test {found:.1f} %, largest gradient {slope:.0e}", flush=True
    )
    return found


def spikformer_accuracy(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Test accuracy of a Spikformer of 2 blocks and width 64 after AdamW with warm-up and cosine, and random flips."""
    torch.manual_seed(0)
    model = Spikformer(depth=2, width=64, heads=4, classes=len(shapes.CLASSES), timesteps=4)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * (SPIKFORMER_IMAGES // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps, pct_start=WARM_UP, cycle_momentum=False)
    for epoch in range(EPOCHS):
        losses = []
        for chosen in torch.randperm(SPIKFORMER_IMAGES).split(BATCH):
            mirrored = torch.rand(len(chosen), 1, 1, 1) < 0.5
            images = torch.where(mirrored, train[0][chosen].flip(-1), train[0][chosen])
            loss = F.cross_entropy(predict(model, images), train[1][chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"Spikformer, epoch {epoch + 1}/{EPOCHS}: training loss {sum(losses) / len(losses):.3f}", flush=True)
    model.eval()
    with torch.no_grad():
        return accuracy(torch.cat([predict(model, images) for images in test[0].split(250)]), test[1])


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Logits [B, C], the mean over timesteps, of images [B, 3, S, S]."""
    with torch.autocast("cpu", torch.bfloat16):
        return model(images).logits.float().mean(0)


if __name__ == "__main__":
    sys.exit(main())
