"""Any Hugging Face encoder of text as a text tower: BioClinicalBERT, CXR-BERT, and others.

Shape suffixes: B batch, C channels, L tokens, A attention heads.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.hub_models import find_model, hub_out_of_reach, require_weights
from models.vlp.objectives import TextFeatures
from models.vlp.piece_tokenizer import PieceTokenizer
from models.vlp.text_tokenizers import TextTokenizer
from models.vlp.words import number_words
from storage.errors import EngineUnavailable

_INDEX = "config.json"
# Plain attention: the faster kinds do not give their weights, which MGCA asks for.
_ATTENTION = "eager"


class HuggingfaceTextTower(nn.Module):
    """The last layer's states; pooled: that of the first token, [CLS] in BERT's family.

    A token's attention is what the first token pays it in the last layer, mean over heads.
    """

    starts_V: Tensor
    outside_V: Tensor

    def __init__(self, trunk: Any, tokenizer: TextTokenizer) -> None:
        super().__init__()
        trunk.pooler = None  # a layer on top of the first state, which nothing here reads
        self.trunk = trunk
        self.padding_id = tokenizer.padding_id
        self.width: int = trunk.config.hidden_size
        self.register_buffer("starts_V", torch.from_numpy(tokenizer.starts()), persistent=False)
        self.register_buffer("outside_V", torch.from_numpy(tokenizer.outside()), persistent=False)

    @property
    def architecture(self) -> str:
        """The trunk's configuration as JSON, which `restored_trunk` builds it from."""
        text: str = self.trunk.config.to_json_string(use_diff=False)
        return text

    def forward(self, token_ids_BL: Tensor) -> TextFeatures:
        """Features of padded token ids, (B, L) with L at most `max_tokens`."""
        mask_BL = token_ids_BL != self.padding_id
        mask_BL[:, 0] = True  # a text without words still gives a vector
        read = self.trunk(
            input_ids=token_ids_BL, attention_mask=mask_BL.long(), output_attentions=True
        )
        local_BLC = read.last_hidden_state
        attention_BALL = read.attentions[-1]
        words_BL = number_words(self.starts_V[token_ids_BL], ~self.outside_V[token_ids_BL])
        return TextFeatures(
            local_BLC[:, 0],
            local_BLC,
            token_ids_BL,
            mask_BL,
            words_BL,
            attention_BALL[:, :, 0].mean(dim=1).detach(),
        )


def find_text_model(name: str) -> Path:
    """The folder of a text model, named by itself or by a hub id that the local hub cache has.

    Raises:
        EngineUnavailable: If it or its weights are missing. Nothing is downloaded.
    """
    folder = find_model(name, None, _INDEX, "a text model").folder
    require_weights(folder)
    return folder


def pretrained_tower(name: str, tokenizer: PieceTokenizer, max_tokens: int) -> HuggingfaceTextTower:
    """A text model with the weights of its folder.

    Raises:
        EngineUnavailable: If it is no model that reads text both ways.
        ValueError: If `max_tokens` is more than it has positions for.
    """
    from transformers import AutoModel

    folder = find_text_model(name)
    try:
        with hub_out_of_reach():
            trunk, report = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                attn_implementation=_ATTENTION,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:
        raise EngineUnavailable(
            f"{folder} must be a text model of transformers, got: "
            f"{' '.join(str(error).split())}; name another checkpoint"
        ) from error
    absent = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if absent:
        raise EngineUnavailable(
            f"{folder} must hold every weight of {type(trunk).__name__}, got none for {absent[0]} "
            f"and {len(absent) - 1} more; copy it whole"
        )
    tower = HuggingfaceTextTower(trunk, tokenizer)
    _require_positions(trunk.config, max_tokens)
    _require_both_ways(tower, folder)
    return tower


def restored_trunk(architecture: str) -> Any:
    """A trunk with random weights, for those of a checkpoint to be put into."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(**json.loads(architecture))
    return AutoModel.from_config(  # type: ignore[no-untyped-call]
        config, attn_implementation=_ATTENTION, trust_remote_code=False, dtype=torch.float32
    )


def _require_positions(config: Any, max_tokens: int) -> None:
    positions = getattr(config, "max_position_embeddings", max_tokens)
    if max_tokens > positions:
        raise ValueError(
            f"text_tower.max_tokens must be at most {positions} for this text model, "
            f"got {max_tokens}; lower it"
        )


@torch.no_grad()
def _require_both_ways(tower: HuggingfaceTextTower, folder: Path) -> None:
    """The first token must see the last, or its state says nothing of the text."""
    inside = (~tower.outside_V).nonzero()[:2, 0]
    first, second = inside.tolist()
    was_training = tower.training
    read = tower.eval()(torch.tensor([[first, first, first], [first, first, second]]))
    tower.train(was_training)
    if torch.equal(read.pooled_BC[0], read.pooled_BC[1]):
        raise EngineUnavailable(
            f"{folder} must be a model whose first token reads the whole text, got "
            f"{type(tower.trunk).__name__}, which reads from left to right; name an encoder (BERT)"
        )
