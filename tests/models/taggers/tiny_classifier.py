"""Token classifiers of a few thousand weights, taught a toy radiology, saved as any checkpoint is.

Real parts, small: transformers' own classes, tokenizers and files.
"""

import random
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForTokenClassification,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2ForTokenClassification,
    DebertaV2Tokenizer,
)

LABELS = ["O"] + [
    f"{prefix}-{kind}"
    for kind in ("ABNORMALITY", "NON-ABNORMALITY", "DISEASE", "NON-DISEASE", "ANATOMY")
    for prefix in "BI"
]
FINDINGS = {
    "pleural effusion": "ABNORMALITY",
    "opacities": "ABNORMALITY",
    "thymic cyst": "ABNORMALITY",
    "pneumonia": "DISEASE",
    "sarcoid": "DISEASE",
}
PLACES = ("left lung base", "heart", "right lung")
FILLERS = ("The study is of good quality.", "Lines are as before.")
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# A word, and the label of each; the label of the words of a sentence in order.
Sentence = list[tuple[str, str]]


def toy_sentence(chance: random.Random) -> Sentence:
    """One sentence with the label of each word, in the manner of RaTE-NER."""
    finding, kind = chance.choice(sorted(FINDINGS.items()))
    place = chance.choice(PLACES)
    form = chance.randrange(4)
    if form == 0:
        return [*_plain("There is"), *_entity(finding, kind), *_plain("in the"),
                *_entity(place, "ANATOMY"), (".", "O")]  # fmt: skip
    if form == 1:
        return [*_plain("No"), *_entity(finding, f"NON-{kind}"), (".", "O")]
    if form == 2:
        return [*_plain("The"), *_entity(place, "ANATOMY"), *_plain("shows"),
                *_entity(finding, kind), (".", "O")]  # fmt: skip
    return [*_plain(chance.choice(FILLERS).removesuffix(".")), (".", "O")]


def save_classifier(kind: str, folder: Path, labels: Sequence[str] = LABELS) -> Path:
    """Teach and save a classifier.

    Args:
        kind: "bert" or "deberta".
        folder: Where to save it.
        labels: Names of the outputs, in the order of `LABELS`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer, model = _made(kind, list(labels))
        _teach(tokenizer, model, num_steps=200)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def _made(kind: str, labels: list[str]) -> tuple[Any, Any]:
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "id2label": dict(enumerate(labels)),
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    words = sorted({word for seed in range(400) for word, _ in toy_sentence(random.Random(seed))})
    letters = string.ascii_letters + string.digits + string.punctuation
    if kind == "bert":
        known = [word.lower() for word in words]
        pieces = [*_SPECIAL, *known, *letters, *(f"##{letter}" for letter in letters)]
        vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
        tokenizer: Any = BertTokenizer(vocab=vocabulary, model_max_length=48)
        config = BertConfig(vocab_size=len(tokenizer), **sizes)
        return tokenizer, BertForTokenClassification(config)
    scored = dict.fromkeys(_SPECIAL, 0.0) | {f"▁{word}": -2.0 for word in words}
    scored |= {letter: -9.0 for letter in letters if letter not in scored} | {"▁": -9.0}
    tokenizer = DebertaV2Tokenizer(vocab=list(scored.items()), unk_id=1)
    sizes |= {"relative_attention": True, "position_buckets": 16, "type_vocab_size": 0}
    deberta = DebertaV2Config(vocab_size=len(tokenizer), pos_att_type=["p2c", "c2p"], **sizes)
    return tokenizer, DebertaV2ForTokenClassification(deberta)


def _teach(tokenizer: Any, model: Any, num_steps: int) -> None:
    chance = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(num_steps):
        batch = [
            [pair for _ in range(chance.randint(1, 4)) for pair in toy_sentence(chance)]
            for _ in range(16)
        ]
        texts = [_text(pairs) for pairs, _ in zip(batch, batch, strict=True)]
        encoded = tokenizer(
            texts, padding=True, truncation=True, max_length=48,
            return_offsets_mapping=True, return_tensors="pt",
        )  # fmt: skip
        offsets = encoded.pop("offset_mapping").tolist()
        targets = torch.tensor(
            [_targets(pairs, spans) for pairs, spans in zip(batch, offsets, strict=True)]
        )
        loss = model(**encoded, labels=targets).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def _text(pairs: Sentence) -> str:
    return " ".join(word for word, _ in pairs).replace(" .", ".")


def _targets(pairs: Sentence, spans: list[list[int]]) -> list[int]:
    """The label of the word that each token begins in; -100, which counts nothing, for others."""
    starts, position = {}, 0
    for word, label in pairs:
        position -= word == "."  # no space before it
        starts[max(position, 0)] = LABELS.index(label)
        position += len(word) + 1
    return [_target(starts, start, end) for start, end in spans]


def _target(starts: dict[int, int], start: int, end: int) -> int:
    """Some tokenizers count the space before a word in."""
    if end == start:
        return -100
    return starts.get(start, starts.get(start + 1, -100))


def _plain(words: str) -> Sentence:
    return [(word, "O") for word in words.split()]


def _entity(words: str, kind: str) -> Sentence:
    first, *rest = words.split()
    return [(first, f"B-{kind}"), *((word, f"I-{kind}") for word in rest)]
