import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from models.vlp.configs import TextTowerConfig
from models.vlp.huggingface_text import HuggingfaceTextTower, find_text_model, pretrained_tower
from models.vlp.piece_tokenizer import PieceTokenizer
from models.vlp.text_tokenizers import tokenizer_from_json
from models.vlp.tokenizer import WordTokenizer
from storage.errors import EngineUnavailable

from .tiny_bert import PIECES, save_left_to_right, save_tokenizer


def tower_of(folder: Path) -> tuple[HuggingfaceTextTower, PieceTokenizer]:
    tokenizer = PieceTokenizer.from_folder(folder)
    return pretrained_tower(str(folder), tokenizer, 16).eval(), tokenizer


def test_piece_tokenizer_gives_the_ids_that_transformers_gives(bert: Path) -> None:
    ours = PieceTokenizer.from_folder(bert)
    theirs = AutoTokenizer.from_pretrained(bert)
    texts = ["No effusions seen.", "A ring", ""]
    expected = theirs(texts, padding=True, return_tensors="np")["input_ids"]
    assert ours.encode_batch(texts, 16).tolist() == expected.tolist()
    assert [PIECES[token] for token in ours.encode("No effusions seen.", 16)] == [
        "[CLS]", "no", "eff", "##usion", "##s", "seen", ".", "[SEP]",
    ]  # fmt: skip


def test_piece_tokenizer_cuts_text_and_keeps_the_marks(bert: Path) -> None:
    ids = PieceTokenizer.from_folder(bert).encode("there is a square, a ring, a bar.", 5)
    assert [PIECES[token] for token in ids] == ["[CLS]", "there", "is", "a", "[SEP]"]


def test_piece_tokenizer_json_round_trip_needs_no_folder(bert: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(bert, tmp_path / "moved")
    tokenizer = PieceTokenizer.from_folder(moved)
    shutil.rmtree(moved)
    again = tokenizer_from_json(tokenizer.to_json())
    assert again.encode("no effusion", 16) == tokenizer.encode("no effusion", 16)
    assert again.starts().tolist() == tokenizer.starts().tolist()
    assert again.outside().tolist() == tokenizer.outside().tolist()
    assert again.to_json() == tokenizer.to_json()
    assert again.knows("effusion")
    assert not again.knows("pneumothorax")


def test_tokenizer_from_json_still_reads_learnt_words() -> None:
    words = WordTokenizer.train(["no effusion"], 10, 1)
    assert tokenizer_from_json(words.to_json()).encode("no", 4) == words.encode("no")


def test_huggingface_tower_numbers_words_and_leaves_marks_and_padding_out(bert: Path) -> None:
    tower, tokenizer = tower_of(bert)
    ids = torch.from_numpy(tokenizer.encode_batch(["No effusions seen.", "", "ring"], 16))
    read = tower(ids)
    assert read.words_BL.tolist() == [
        [-1, 0, 1, 1, 1, 2, 3, -1],
        [0, -1, -1, -1, -1, -1, -1, -1],  # a text without words
        [-1, 0, -1, -1, -1, -1, -1, -1],
    ]
    assert read.mask_BL.sum(dim=1).tolist() == [8, 2, 3]


def test_huggingface_tower_gives_transformers_own_states_and_attention(bert: Path) -> None:
    tower, tokenizer = tower_of(bert)
    ids = torch.from_numpy(tokenizer.encode_batch(["no effusion seen", "ring"], 16))
    model = AutoModel.from_pretrained(bert, attn_implementation="eager").eval()
    theirs = model(input_ids=ids, attention_mask=(ids != 0).long(), output_attentions=True)
    read = tower(ids)
    torch.testing.assert_close(read.local_BLC, theirs.last_hidden_state)
    torch.testing.assert_close(read.pooled_BC, theirs.last_hidden_state[:, 0])
    first = theirs.attentions[-1][:, :, 0]
    torch.testing.assert_close(read.attention_BL, first.mean(dim=1))
    torch.testing.assert_close(read.attention_BL.sum(dim=1), torch.ones(2))
    assert not read.attention_BL.requires_grad
    assert (read.attention_BL[~read.mask_BL] < 1e-6).all()


def test_huggingface_tower_padding_changes_nothing(bert: Path) -> None:
    tower, tokenizer = tower_of(bert)
    alone, beside = (
        tower(torch.from_numpy(tokenizer.encode_batch(texts, 16)))
        for texts in (["a ring"], ["a ring", "there is a square, a ring, a bar."])
    )
    torch.testing.assert_close(alone.pooled_BC[0], beside.pooled_BC[0])
    torch.testing.assert_close(alone.local_BLC[0], beside.local_BLC[0, :4])


def test_huggingface_tower_of_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"got no config\.json") as caught:
        find_text_model(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_huggingface_tower_with_too_few_positions_says_how_many(bert: Path) -> None:
    with pytest.raises(ValueError, match=r"max_tokens must be at most 20 .*, got 48; lower it"):
        pretrained_tower(str(bert), PieceTokenizer.from_folder(bert), 48)


def test_huggingface_tower_that_reads_left_to_right_is_refused(tmp_path: Path) -> None:
    folder = save_left_to_right(tmp_path / "gpt")
    with pytest.raises(EngineUnavailable, match="got GPT2Model, which reads from left to right"):
        tower_of(folder)


def test_piece_tokenizer_without_padding_is_refused(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, padding=False)
    with pytest.raises(EngineUnavailable, match="tokenizer with a padding token"):
        PieceTokenizer.from_folder(tmp_path)


def test_huggingface_weights_that_lack_a_layer_are_refused(bert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(bert, tmp_path / "cut")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "layer.1" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineUnavailable, match=r"every weight of BertModel, got none for .*layer"):
        tower_of(folder)


@pytest.mark.parametrize("name", ["bert", "hf/", "timm/resnet50"])
def test_text_tower_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        TextTowerConfig(name=name)
