"""Operations of one optimiser step of pre-training: both towers, and the loss.

Shape suffixes: B batch, S image side, L tokens, C channels.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models.hub_models import find_model, hub_out_of_reach
from models.studies.operations import (
    architecture,
    forward_operations,
    operations,
    step_operations,
    without_values,
)
from models.vlp.configs import ImageTowerConfig, PretrainingConfig, TextTowerConfig
from models.vlp.huggingface_text import HuggingfaceTextTower, restored_trunk
from models.vlp.objectives import ImageFeatures, PretrainingObjective, TextFeatures, TowerWidths
from models.vlp.tokenizer import WordTokenizer
from models.vlp.towers import TextTower, build_image_tower, image_channels
from storage.errors import EngineUnavailable

# The loss compares pairs with pairs, so its work is a polynomial of degree two in the batch, which
# three small batches determine.
_SMALL_BATCHES = (2, 3, 4)
_LATE = float("inf")  # epochs done: nothing waits any more


def tower_operations(config: PretrainingConfig) -> int:
    """FLOP of the image tower in a step, forward and back.

    Raises:
        ValueError: If the tower is unknown or cannot be built at this size.
    """
    size, batch = config.image_tower.image_size_px, config.training.batch_size
    with without_values():
        tower = image_tower(config.image_tower).train()
        images_B1SS = torch.empty(batch, 1, size, size)

        def seen() -> list[Tensor]:
            features: ImageFeatures = tower(images_B1SS)
            return [features.pooled_BC, features.local_BCHW]

        return step_operations(seen) + _first_pass(config, seen)


def text_operations(config: PretrainingConfig) -> int:
    """FLOP of the text tower in a step, forward and back, each text as long as it may be.

    Raises:
        EngineUnavailable: If the configuration of a Hugging Face text model is absent.
    """
    settings = config.training
    with without_values():
        tower = _text_tower(config.text_tower).train()
        ids_BL = torch.zeros(settings.batch_size, config.text_tower.max_tokens, dtype=torch.int64)

        def read() -> list[Tensor]:
            features: TextFeatures = tower(ids_BL)
            return [features.pooled_BC, features.local_BLC]

        return settings.texts_per_image * (step_operations(read) + _first_pass(config, read))


def loss_operations(config: PretrainingConfig) -> int:
    """FLOP of the objective's heads and loss in a step, forward and back, every token a word.

    A loss looks at values (how many words a text has), so that it is counted on small batches of
    random features and extended to the batch.

    Raises:
        ValueError: If the objective does not fit the image tower.
        EngineUnavailable: If the configuration of a Hugging Face text model is absent.
    """
    widths = _widths(config)
    objective = config.objective.build(widths)
    length = config.text_tower.max_tokens
    few, more, most = (
        operations(partial(compare_random, objective, widths, batch, length))
        for batch in _SMALL_BATCHES
    )
    beyond = config.training.batch_size - _SMALL_BATCHES[0]
    rise, bend = more - few, most - 2 * more + few
    extended = few + beyond * rise + beyond * (beyond - 1) // 2 * bend
    return config.training.texts_per_image * extended


def image_tower(config: ImageTowerConfig) -> nn.Module:
    """The architecture of an image tower; call it `without_values`.

    Raises:
        ValueError: If the library does not know it or cannot build it at this size.
    """
    plain = config.model_copy(update={"pretrained_tag": None})
    # open_clip moves its weights to a device of its choice; they are drawn and dropped
    made_on = "cpu" if config.name.startswith("open_clip/") else "meta"
    return architecture(partial(build_image_tower, plain), made_on)


def text_token_operations(config: TextTowerConfig, num_tokens: int) -> int:
    """FLOP of reading one text of so many tokens.

    Raises:
        EngineUnavailable: If the configuration of a Hugging Face text model is absent.
    """
    with without_values():
        tower = _text_tower(config).train()  # in evaluation a kernel without formula may be taken
        ids_1L = torch.zeros(1, num_tokens, dtype=torch.int64)
        return forward_operations(lambda: tower(ids_1L))


def _text_tower(config: TextTowerConfig) -> nn.Module:
    """The architecture of a text tower, of any vocabulary: to look a token up is no arithmetic."""
    tokenizer = WordTokenizer.train(["any"], config.vocabulary_size, min_count=1)
    if not config.huggingface_model:
        return architecture(partial(TextTower, config, tokenizer), "meta")
    trunk = architecture(partial(_trunk, config.huggingface_model), "meta")
    return HuggingfaceTextTower(trunk, tokenizer)


def _trunk(model: str) -> Any:
    """A text model from its configuration alone."""
    from transformers import AutoConfig

    folder = find_model(model, None, "config.json", "a text model").folder
    try:
        with hub_out_of_reach():
            found = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        return restored_trunk(found.to_json_string(use_diff=False))
    except Exception as error:
        raise EngineUnavailable(
            f"{folder} must hold the configuration of a text model of transformers, got: "
            f"{' '.join(str(error).split())}; name another checkpoint"
        ) from error


def _first_pass(config: PretrainingConfig, forward: Callable[[], object]) -> int:
    """What batches cut into chunks cost on top: one more pass, without gradients."""
    settings = config.training
    cut = settings.chunk_size is not None and settings.chunk_size < settings.batch_size
    return forward_operations(forward) if cut else 0


def _widths(config: PretrainingConfig) -> TowerWidths:
    with without_values():
        tower = image_tower(config.image_tower)
        pooled, local, regions = image_channels(tower, config.image_tower.image_size_px)
        ids_11 = torch.zeros(1, 1, dtype=torch.int64)
        read: TextFeatures = _text_tower(config.text_tower)(ids_11)
        text = read.pooled_BC.shape[1]
    return TowerWidths(pooled, local, text, text, regions)


def compare_random(
    objective: PretrainingObjective, widths: TowerWidths, batch: int, length: int
) -> None:
    """A loss of random features, and its gradient in them and in the heads.

    Args:
        objective: Built for these widths.
        widths: Of the features.
        batch: Pairs.
        length: Words of every text.
    """

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, requires_grad=True)

    images = ImageFeatures(
        drawn(batch, widths.image_pooled), drawn(batch, widths.image_local, widths.num_regions, 1)
    )
    numbers_BL = torch.arange(batch * length).view(batch, length)
    texts = TextFeatures(
        pooled_BC=drawn(batch, widths.text_pooled),
        local_BLC=drawn(batch, length, widths.text_local),
        token_ids_BL=numbers_BL,
        mask_BL=torch.ones(batch, length, dtype=torch.bool),
        words_BL=torch.arange(length).expand(batch, length),
        attention_BL=torch.full((batch, length), 1 / length),
    )
    torch.autograd.backward(objective.loss(images, texts, _LATE).total)
