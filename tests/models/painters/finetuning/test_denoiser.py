import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from models.painters.finetuning.configs import FinetuningConfig
from models.painters.finetuning.data import TrainingSet
from models.painters.finetuning.denoiser import DenoiserStage
from models.painters.finetuning.networks import open_networks
from models.vlp.schedule import Purpose, torch_random


def open_stage(config: FinetuningConfig, training_set: TrainingSet, kind: str) -> DenoiserStage:
    networks = open_networks(config, training_set.subjects)
    networks.scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type=kind)
    latents = torch.randn(2, len(training_set), 4, 16, 16, generator=torch.Generator())
    return DenoiserStage(networks, config, latents, training_set.subjects, torch.float32)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_loss_of_a_perfect_denoiser_is_zero_and_of_none_is_the_weight(
    kind: str, tiny_config: FinetuningConfig, training_set: TrainingSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The target is rebuilt from what the network is shown, not taken from the code under test."""
    stage = open_stage(tiny_config, training_set, kind)
    kept = stage.schedule.alphas_cumprod
    clean: list[torch.Tensor] = []
    batch = stage._batch

    def remember(step: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        latents, ids = batch(step, random)
        clean.append(latents)
        return latents, ids

    class Answer:
        def __init__(self, sample: torch.Tensor) -> None:
            self.sample = sample

    def perfect(noisy: torch.Tensor, steps: torch.Tensor, _: torch.Tensor) -> Answer:
        signal = kept[steps].sqrt()[:, None, None, None]
        noise_level = (1 - kept[steps]).sqrt()[:, None, None, None]
        noise = (noisy - signal * clean[-1]) / noise_level
        target = signal * noise - noise_level * clean[-1] if kind == "v_prediction" else noise
        return Answer(target)

    monkeypatch.setattr(stage, "_batch", remember)
    monkeypatch.setattr(stage.networks.unet, "forward", perfect)
    assert stage.loss(5).item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_weights_equal_diffusers_signal_to_noise(
    kind: str, tiny_config: FinetuningConfig, training_set: TrainingSet
) -> None:
    stage = open_stage(tiny_config, training_set, kind)
    steps = torch.tensor([0, 100, 500, 900])
    ratio = compute_snr(stage.schedule, steps)
    expected = ratio.clamp(max=5) / (ratio + 1 if kind == "v_prediction" else ratio)
    torch.testing.assert_close(stage._weights(steps), expected)


def test_batch_drops_a_tenth_of_the_texts_and_some_words(
    tiny_config: FinetuningConfig, training_set: TrainingSet
) -> None:
    stage = open_stage(tiny_config, training_set, "v_prediction")
    tokenizer = stage.networks.tokenizer
    ids = torch.cat([stage._batch(k, torch.Generator().manual_seed(k))[1] for k in range(1, 120)])
    lengths = (ids != tokenizer.pad_token_id).sum(dim=1)
    assert 0.06 < (lengths == 2).float().mean() < 0.15
    unknown = (ids == tokenizer.unk_token_id).sum() / (lengths - 2).sum()
    assert 0.03 < unknown < 0.07
    assert (ids[:, 0] == tokenizer.bos_token_id).all()


def test_stage_of_an_unknown_prediction_says_so(
    tiny_config: FinetuningConfig, training_set: TrainingSet
) -> None:
    with pytest.raises(ValueError, match=r"must predict one of .*got 'sample'"):
        open_stage(tiny_config, training_set, "sample")


def test_loss_teaches_the_words_of_its_batch_and_no_others(
    tiny_config: FinetuningConfig, training_set: TrainingSet
) -> None:
    stage = open_stage(tiny_config, training_set, "v_prediction")
    torch.autograd.backward(stage.loss(3))
    embedding = stage.networks.text_encoder.get_input_embeddings().weight.grad
    ids = stage._batch(3, torch_random(tiny_config.seed, Purpose.IMAGE, 3))[1]
    taught = embedding.abs().sum(dim=1).nonzero()[:, 0].tolist()
    assert set(taught) == set(ids.unique().tolist())
