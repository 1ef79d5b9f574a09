"""The agreement gate: an image and its prompt, by two towers of one space."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from models.engines import PaintedImage, PaintRequest
from models.gates.configs import AgreementConfig
from models.gates.thresholds import calibrate_agreement
from storage.records import RejectionReason, Report, View
from tests.models.encoders.tiny_checkpoints import save_open_clip

PROMPTS = ["small left effusion", "no effusion", ""]


def test_gate_compares_each_image_with_its_own_prompt(tmp_path: Path) -> None:
    encoder = {"kind": "open_clip", "model": str(save_open_clip(tmp_path / "clip"))}
    config = AgreementConfig.model_validate({"encoder": encoder, "min_cosine": 0.0})
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 255, (40, 40)).astype(np.uint8) for _ in PROMPTS]
    towers = config.encoder.open()
    images, texts = towers.embed(pixels), towers.embed_texts(PROMPTS[:2])
    expected = (images[:2] * texts).sum(axis=1)
    between = config.model_copy(update={"min_cosine": float(expected.mean())})
    requests = [
        PaintRequest(str(n), 0, prompt, Report("", ""), (), View.PA)
        for n, prompt in enumerate(PROMPTS)
    ]
    verdicts = between.open().check(requests, [PaintedImage(one, (), 0.0) for one in pixels])
    assert [verdict.scores[0].value for verdict in verdicts[:2]] == pytest.approx(
        expected.tolist(), abs=1e-4
    )
    wanted = [None if c >= expected.mean() else RejectionReason.TEXT_MISMATCH for c in expected]
    assert [verdict.reason for verdict in verdicts[:2]] == wanted
    assert len(set(wanted)) == 2
    assert verdicts[2].passed
    assert verdicts[2].scores[0].measure == "num_characters"


def test_gate_with_an_encoder_of_images_alone_is_refused() -> None:
    settings = {"encoder": {"kind": "handcrafted"}, "min_cosine": 0.1}
    with pytest.raises(ValidationError, match="embeds images alone; name open_clip or factory"):
        AgreementConfig.model_validate(settings)


def test_calibrated_cosine_is_measured_on_other_patients_and_their_texts() -> None:
    random = np.random.default_rng(0)
    images = random.normal(0, 1, (400, 32)).astype(np.float32)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts = images + random.normal(0, 0.1, images.shape).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    patients = [f"p{n // 2}" for n in range(400)]
    found = calibrate_agreement(images, texts, patients, 0.95, 0)
    assert found.acceptance == pytest.approx(0.95, abs=0.04)
    assert found.mismatched_rejected == 1.0
    shuffled = calibrate_agreement(images, texts[::-1].copy(), patients, 0.95, 0)
    assert shuffled.mismatched_rejected == pytest.approx(0.05, abs=0.06)
