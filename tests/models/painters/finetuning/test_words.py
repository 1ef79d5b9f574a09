from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from models.painters.finetuning.captions import Subject, draw_caption, full_caption
from models.painters.finetuning.words import build_tokenizer

SUBJECTS = [Subject(("Mass", "Edema"), "AP", "F", 70), Subject(("No Finding",), "PA", "M", 30)]


def test_tokenizer_knows_every_word_of_its_captions_and_no_other() -> None:
    tokenizer = build_tokenizer(SUBJECTS, 32, np.random.default_rng(0))
    random = np.random.default_rng(9)
    for subject in SUBJECTS:
        for text in [full_caption(subject), *(draw_caption(subject, random) for _ in range(5))]:
            assert tokenizer.unk_token_id not in tokenizer(text).input_ids, text
    known, unknown = tokenizer("Mass zeppelin", add_special_tokens=False).input_ids
    assert (known == tokenizer.unk_token_id, unknown == tokenizer.unk_token_id) == (False, True)


def test_tokenizer_pads_cuts_and_marks_both_ends() -> None:
    tokenizer = build_tokenizer(SUBJECTS, 8, np.random.default_rng(0))
    short, long = tokenizer(
        ["Edema", "mass " * 20], padding="max_length", truncation=True
    ).input_ids
    assert len(short) == len(long) == 8
    assert [short[0], short[2]] == [tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert short[3:] == [tokenizer.pad_token_id] * 5
    assert [long[0], long[-1]] == [tokenizer.bos_token_id, tokenizer.eos_token_id]


def test_tokenizer_saved_is_read_by_the_library_alone(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(SUBJECTS, 32, np.random.default_rng(0))
    tokenizer.save_pretrained(tmp_path)
    text = full_caption(SUBJECTS[0])
    assert AutoTokenizer.from_pretrained(tmp_path)(text).input_ids == tokenizer(text).input_ids
