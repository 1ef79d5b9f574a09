"""A BERT of two small random layers with a WordPiece tokenizer, saved as transformers saves."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, PreTrainedTokenizerFast

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "there", "is", "a", "no", "seen", "nothing",
          "square", "ring", "bar", ".", ",", "eff", "##usion", "##s"]  # fmt: skip


def save_tokenizer(folder: Path, *, padding: bool = True) -> None:
    ids = {piece: index for index, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if padding:
        named["pad_token"] = "[PAD]"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)


def save_tiny_bert(folder: Path) -> Path:
    """Weights and tokenizer in a folder; 16 channels, 20 positions."""
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_left_to_right(folder: Path) -> Path:
    """A GPT-2, whose first token sees nothing but itself."""
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=len(PIECES), n_embd=16, n_layer=1, n_head=2, n_positions=20)
    GPT2Model(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder
