"""What a run trains with: the model, its optimiser, the average of its weights."""

from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.vlp.checkpoint import TRAINING_FILE, Checkpoint, restore_model
from models.vlp.configs import PretrainingConfig, TrainingConfig
from models.vlp.model import VisionLanguageModel
from models.vlp.ranks import Ranks
from models.vlp.schedule import Purpose, torch_seed
from models.vlp.shared_norms import share_norms
from models.vlp.text_tokenizers import TextTokenizer


def build_model(
    config: PretrainingConfig,
    tokenizer: TextTokenizer,
    previous: Checkpoint | None,
    folder: Path,
    ranks: Ranks,
) -> VisionLanguageModel:
    """The previous state's model, or a fresh one whose random weights follow from the seed."""
    if previous:
        model = restore_model(previous, folder / TRAINING_FILE)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(config.training.seed, Purpose.WEIGHTS, 0))
            model = VisionLanguageModel(config, tokenizer)
    model.image_tower = share_norms(model.image_tower, ranks)
    return model.to(ranks.device).train()


def build_average(
    model: VisionLanguageModel, settings: TrainingConfig, previous: Checkpoint | None
) -> AveragedModel | None:
    """The average of the weights, where the plan wants one; buffers are the last step's."""
    if settings.average_decay is None:
        return None
    average = get_ema_multi_avg_fn(settings.average_decay)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(model, multi_avg_fn=average)
    if previous:
        averaged.load_state_dict(dict(previous.averaged))
    return averaged


def build_optimiser(model: VisionLanguageModel, settings: TrainingConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices and kernels alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
