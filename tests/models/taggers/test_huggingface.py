"""The loading code and the tagging on real, small checkpoints, taught a toy radiology."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoTokenizer, pipeline

from models.engines import engine_config
from models.taggers import huggingface
from models.taggers.configs import HuggingfaceConfig
from models.taggers.huggingface import HuggingfaceTagger
from models.taggers.token_labels import entity_of
from models.vocabulary.concepts import load_vocabulary
from storage.errors import EngineOutOfMemory, EngineUnavailable
from storage.records import Entity, EntityKind
from tests.models.taggers.tiny_classifier import LABELS, save_classifier, toy_sentence

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module", params=["deberta", "bert"])
def tagger(request: pytest.FixtureRequest) -> HuggingfaceTagger:
    return HuggingfaceConfig(model=str(request.getfixturevalue(request.param))).open()


def keys(entities: tuple[Entity, ...]) -> list[tuple[str, str]]:
    return [(entity.text, entity.kind.value) for entity in entities]


def test_tag_finds_what_was_taught_under_canonical_names(tagger: HuggingfaceTagger) -> None:
    texts = [
        "There is pleural effusion in the left lung base. No pneumonia.",
        "",
        "The heart shows thymic cyst. There is opacities in the heart.",
    ]
    assert [keys(entities) for entities in tagger.tag(texts)] == [
        [
            ("pleural effusion", "abnormality"),
            ("left lung base", "anatomy"),
            ("pneumonia", "non-disease"),
        ],
        [],
        [("heart", "anatomy"), ("thymic cyst", "abnormality"), ("lung opacity", "abnormality")],
    ]
    assert tagger.tag([]) == []


def test_tag_merges_mentions_and_present_wins(tagger: HuggingfaceTagger) -> None:
    (entities,) = tagger.tag(
        ["No thymic cyst. There is thymic cyst in the heart. The heart shows pneumonia."]
    )
    assert keys(entities) == [
        ("thymic cyst", "abnormality"),
        ("heart", "anatomy"),
        ("pneumonia", "disease"),
    ]


def test_tag_long_report_is_read_to_its_end_across_windows(tagger: HuggingfaceTagger) -> None:
    filler = "The study is of good quality."
    said = "There is thymic cyst in the left lung base."
    last = "The right lung shows pneumonia."
    for before in range(0, 40, 3):  # the sentence comes to lie in the middle and across edges
        text = " ".join([filler] * before + [said] + [filler] * (40 - before) + [last])
        (entities,) = tagger.tag([text])
        assert keys(entities) == [
            ("thymic cyst", "abnormality"),
            ("left lung base", "anatomy"),
            ("right lung", "anatomy"),
            ("pneumonia", "disease"),
        ], before


def test_tag_agrees_with_the_pipeline_of_transformers(bert: Path) -> None:
    chance, vocabulary = random.Random(5), load_vocabulary()
    texts = [
        " ".join(word for _ in range(3) for word, _ in toy_sentence(chance)) for _ in range(20)
    ]
    reference = pipeline("token-classification", model=str(bert), aggregation_strategy="first")
    for text, found in zip(
        texts, HuggingfaceConfig(model=str(bert)).open().tag(texts), strict=True
    ):
        expected = [
            entity_of(one["word"], EntityKind(one["entity_group"].lower()), vocabulary)
            for one in reference(text)
        ]
        assert {e.text for e in found} == {e.text for e in expected if e is not None}
        assert set(found) <= set(expected)


def test_tag_out_of_memory_halves_and_remembers(
    deberta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger = HuggingfaceConfig(model=str(deberta)).open()
    texts = [f"{'The heart shows pneumonia. ' * count}" for count in (1, 5, 2, 4, 3)]
    expected = tagger.tag(texts)
    real, sizes = tagger._model.forward, []

    def cramped(*args: object, **inputs: torch.Tensor) -> object:
        sizes.append(len(inputs["input_ids"]))
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*args, **inputs)

    monkeypatch.setattr(tagger._model, "forward", cramped)
    assert tagger.tag(texts) == expected
    assert sizes[0] == 5
    assert tagger.tag(texts) == expected
    assert max(sizes[4:]) <= 3

    def full(*args: object, **inputs: torch.Tensor) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tagger._model, "forward", full)
    with pytest.raises(EngineOutOfMemory, match="tokens do not fit the memory of cpu"):
        tagger.tag(texts)


def test_config_is_found_by_kind_and_defaults_to_rate_ner() -> None:
    found = engine_config("taggers", {"kind": "huggingface"})
    assert found == HuggingfaceConfig(model="Angelakeke/RaTE-NER-Deberta")


def test_revision_follows_weights_labels_and_nothing_else(deberta: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(deberta, tmp_path / "copy")
    plain = HuggingfaceConfig(model=str(deberta)).revision()
    assert HuggingfaceConfig(model=str(copy)).revision() == plain
    mapped = HuggingfaceConfig(model=str(copy), labels={"DISEASE": EntityKind.ABNORMALITY})
    assert mapped.revision() != plain
    (copy / "README.md").write_text("nothing that is loaded")
    assert HuggingfaceConfig(model=str(copy)).revision() == plain
    (copy / "tokenizer_config.json").write_text("{}")
    assert HuggingfaceConfig(model=str(copy)).revision() != plain


def test_hub_id_in_the_cache_is_pinned_to_its_commit(
    deberta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--clinic--ner"
    shutil.copytree(deberta, model / "snapshots" / COMMIT)
    (model / "refs").mkdir()
    (model / "refs/main").write_text(COMMIT)
    first = HuggingfaceConfig(model="clinic/ner").revision()
    assert first == HuggingfaceConfig(model="clinic/ner", hub_revision=COMMIT).revision()
    assert first != HuggingfaceConfig(model=str(deberta)).revision()
    with pytest.raises(EngineUnavailable, match="hf download clinic/other"):
        HuggingfaceConfig(model="clinic/other").revision()


def _without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _cut_off(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def _without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _set(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (_without_weights, r"must hold weights as safetensors, got "),
        (_cut_off, r"must be a safetensors file, got \d+ bytes that are none or cut off"),
        (_without_tokenizer, r"must hold the classifier's tokenizer, got none"),
        (lambda folder: (folder / "config.json").unlink(), r"expected a token classifier in .* no"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json must be JSON"),
        (
            lambda folder: _set(folder, architectures=["BertForMaskedLM"]),
            r"must be a token classifier \(\.\.\.ForTokenClassification\), got BertForMaskedLM",
        ),
        (
            lambda folder: _set(folder, id2label={"0": "O", "1": "B-PROBLEM"}),
            r"got nothing for problem; give each one of abnormality, non-abnormality",
        ),
    ],
    ids=["weights", "cut", "tokenizer", "config", "json", "architecture", "labels"],
)
def test_revision_of_a_damaged_or_other_checkpoint_is_one_line(
    deberta: Path, tmp_path: Path, spoil: object, line: str
) -> None:
    folder = shutil.copytree(deberta, tmp_path / "spoiled")
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(EngineUnavailable, match=line) as refused:
        HuggingfaceConfig(model=str(folder)).revision()
    assert "\n" not in str(refused.value)


def test_open_classifier_without_its_head_is_refused(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(bert, tmp_path / "headless")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "classifier" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EngineUnavailable, match=r"lacks weights, .*: classifier\.bias"):
        HuggingfaceConfig(model=str(folder)).open()


def test_open_window_that_the_model_cannot_read_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert, tmp_path / "short")
    _set(folder, max_position_embeddings=64, vocab_size=5)
    with pytest.raises(EngineUnavailable) as refused:
        HuggingfaceConfig(model=str(folder)).open()
    assert "\n" not in str(refused.value)


def test_labels_of_another_checkpoint_are_mapped(tmp_path: Path) -> None:
    names = [label.replace("ABNORMALITY", "SIGN").replace("ANATOMY", "SITE") for label in LABELS]
    folder = save_classifier("bert", tmp_path / "other", names)
    with pytest.raises(EngineUnavailable, match="got nothing for non-sign, sign, site"):
        HuggingfaceConfig(model=str(folder)).revision()
    labels = {"SIGN": EntityKind.ABNORMALITY, "NON-SIGN": EntityKind.NON_ABNORMALITY, "SITE": None}
    (entities,) = (
        HuggingfaceConfig(model=str(folder), labels=labels)
        .open()
        .tag(["There is thymic cyst in the heart. No opacities."])
    )
    assert keys(entities) == [("thymic cyst", "abnormality"), ("lung opacity", "non-abnormality")]


def test_windows_overlap_and_cover_every_token(deberta: Path) -> None:
    tagger = HuggingfaceConfig(model=str(deberta)).open()
    text = "There is thymic cyst in the heart. " * 40
    windows = tagger._windows([text])
    assert len(windows) > 3
    covered = {span for window in windows for _, span in window.first_tokens()}
    alone = AutoTokenizer.from_pretrained(str(deberta))(text, add_special_tokens=False)
    assert len(covered) == len(alone["input_ids"])
    assert sum(len(window.token_ids) for window in windows) > len(covered) + 4 * len(windows)
    assert max(len(window.token_ids) for window in windows) <= huggingface.MAX_WINDOW_TOKENS
